//! Shards: tasks that share the work of one stage. The planner makes them,
//! and a task that puts together what they leave.
//!
//! Images are drawn a chunk at a time, and every chunk of a run is in one
//! shard: a shard's images are bit for bit those of the stage in one piece.

use std::ops::Range;

use super::{
    CountSpec, FeaturesSpec, GatherSpec, GenerateSpec, InvalidField, NeighboursSpec, SampleSpec,
    StageKind, StageSpec,
};

/// Images that are drawn at a time. Products of matrices may differ in their
/// last bits with the number of rows, so chunks start at fixed indices.
pub const CHUNK: usize = 128;

/// Most shards of a stage.
pub const MAX_SHARDS: usize = 1000;

/// The tasks of a stage in shards.
#[derive(Debug, Clone, PartialEq)]
pub struct Shards {
    pub shards: Vec<StageSpec>,
    /// Puts together what they leave.
    pub whole: StageSpec,
}

impl StageKind {
    /// Whether a stage can be cut into shards.
    pub fn has_shards(self) -> bool {
        matches!(
            self,
            Self::Count | Self::Sample | Self::Generate | Self::Features | Self::Evaluate
        )
    }
}

impl StageSpec {
    /// Cuts the work into so many shards. `aligned`: each takes one shard of
    /// its input, instead of a part of the whole.
    ///
    /// # Errors
    /// There is not so much work.
    pub fn in_shards(&self, shards: usize, aligned: bool) -> Result<Shards, InvalidField> {
        let whole = StageSpec::from(GatherSpec {});
        let cut = |count: usize, part: &dyn Fn(Range<usize>) -> StageSpec| {
            let chunks = count.div_ceil(CHUNK);
            InvalidField::check((1..=chunks).contains(&shards), "shards", || {
                format!(
                    "is {shards}, but {count} images are drawn {CHUNK} at a time: 1 to {chunks} \
                     is possible"
                )
            })?;
            let shards = ranges(count, CHUNK, shards).map(part).collect();
            Ok(Shards { shards, whole })
        };
        let parts = |part: &dyn Fn(usize) -> StageSpec| Shards {
            shards: (0..shards).map(part).collect(),
            whole: self.clone(),
        };
        match self {
            Self::Sample(spec) => cut(spec.count, &|images| {
                let (first, count) = (spec.first + images.start, images.len());
                let spec = spec.clone();
                SampleSpec {
                    first,
                    count,
                    ..spec
                }
                .into()
            }),
            Self::Generate(spec) => cut(spec.count, &|images| {
                let (first, count) = (spec.first + images.start, images.len());
                let spec = spec.clone();
                GenerateSpec {
                    first,
                    count,
                    ..spec
                }
                .into()
            }),
            Self::Count(spec) => {
                check_whole(spec.parts)?;
                let shard = |part| {
                    let (spec, parts) = (spec.clone(), shards);
                    CountSpec {
                        part,
                        parts,
                        ..spec
                    }
                    .into()
                };
                Ok(parts(&shard))
            }
            Self::Features(spec) => {
                check_whole(spec.parts)?;
                let shard = |part| {
                    let (part, parts) = if aligned { (0, 1) } else { (part, shards) };
                    let spec = spec.clone();
                    FeaturesSpec {
                        part,
                        parts,
                        ..spec
                    }
                    .into()
                };
                Ok(parts(&shard))
            }
            Self::Evaluate(spec) => {
                let shard = |shard| {
                    NeighboursSpec {
                        nearest: spec.nearest,
                        shard: if aligned { 0 } else { shard },
                        of: if aligned { 1 } else { shards },
                    }
                    .into()
                };
                Ok(parts(&shard))
            }
            other => {
                let why = format!("stages of kind {} are one task", other.kind());
                Err(InvalidField {
                    field: "shards",
                    why,
                })
            }
        }
    }
}

/// Refuses to cut what is a part already.
fn check_whole(parts: usize) -> Result<(), InvalidField> {
    InvalidField::check(parts == 1, "shards", || {
        format!("cut all of the images: leave `parts` out, which is {parts}")
    })
}

pub(super) fn check_part(part: usize, parts: usize) -> Result<(), InvalidField> {
    InvalidField::check((1..=MAX_SHARDS).contains(&parts), "parts", || {
        format!("is {parts}, but 1 to {MAX_SHARDS} are possible")
    })?;
    InvalidField::check(part < parts, "part", || {
        format!("is {part}, but {parts} parts end at {}", parts - 1)
    })
}

/// Parts of `0..count` in whole chunks, as evenly as they go; the last ends at
/// `count`. Where there are fewer chunks than parts, the last parts are empty.
pub fn ranges(count: usize, chunk: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let end = move |chunks: usize| count.min(chunks * chunk);
    part_of(count.div_ceil(chunk), parts).map(move |chunks| end(chunks.start)..end(chunks.end))
}

/// So many parts of `0..n`, one after another, the first ones longer by one
/// where they cannot be equal.
pub fn part_of(n: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let (each, more) = (n / parts, n % parts);
    let start = move |part: usize| part * each + part.min(more);
    (0..parts).map(move |part| start(part)..start(part + 1))
}

/// For serde: what is left out of parameters, and so of keys, where it is
/// zero.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
pub(super) fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stage::{EvaluateSpec, Nearness, SampleSpec};

    proptest! {
        #[test]
        fn shards_are_whole_chunks_of_all_images(count in 1usize..5000, shards in 1usize..40) {
            let spec = StageSpec::from(SampleSpec { count, first: 256, ..SampleSpec::default() });
            let Ok(Shards { shards: cut, .. }) = spec.in_shards(shards, false) else {
                prop_assert!(shards > count.div_ceil(CHUNK));
                return Ok(());
            };
            prop_assert_eq!(cut.len(), shards);
            let mut next = 256;
            for shard in cut {
                let StageSpec::Sample(SampleSpec { first, count, .. }) = shard else {
                    panic!("a shard of another kind")
                };
                prop_assert_eq!(first, next);
                prop_assert!(first % CHUNK == 0 && count > 0);
                next += count;
            }
            prop_assert_eq!(next, 256 + count);
        }
    }

    #[test]
    fn a_stage_in_one_piece_is_named_as_ever() {
        let parameters = StageSpec::from(SampleSpec::default()).parameters();
        assert!(!parameters.contains_key("first"), "{parameters:?}");
        let kind = StageKind::Sample;
        assert!(kind.fields().contains(&"first".to_owned()));
        let later = serde_json::json!({"first": 128});
        let spec = StageSpec::build(kind, later.as_object().unwrap()).unwrap();
        assert_eq!(spec.parameters()["first"], 128);
        let odd = serde_json::json!({"first": 100});
        assert!(StageSpec::build(kind, odd.as_object().unwrap()).is_err());
    }

    #[test]
    fn an_evaluation_shares_its_search_alone() {
        let spec = StageSpec::from(EvaluateSpec {
            nearest: Nearness::Ssim,
            ..EvaluateSpec::default()
        });
        let of = |aligned| {
            let cut = spec.in_shards(2, aligned).unwrap();
            assert_eq!(cut.whole, spec);
            cut.shards
        };
        let shard = |shard, of| {
            let nearest = Nearness::Ssim;
            StageSpec::from(NeighboursSpec { nearest, shard, of })
        };
        assert_eq!(of(true), [shard(0, 1), shard(0, 1)]);
        assert_eq!(of(false), [shard(0, 2), shard(1, 2)]);
        assert!(StageSpec::from(GatherSpec {}).in_shards(2, false).is_err());
    }

    #[test]
    fn features_are_cut_by_images_or_with_their_samples() {
        let spec = StageSpec::from(FeaturesSpec::default());
        let of = |aligned| {
            let cut = spec.in_shards(2, aligned).unwrap();
            assert_eq!(cut.whole, spec);
            cut.shards
        };
        let part = |part, parts| {
            let spec = FeaturesSpec::default();
            StageSpec::from(FeaturesSpec {
                part,
                parts,
                ..spec
            })
        };
        assert_eq!(of(true), [spec.clone(), spec.clone()]);
        assert_eq!(of(false), [part(0, 2), part(1, 2)]);
        let refused = part(0, 2).in_shards(2, false).unwrap_err().to_string();
        assert!(refused.contains("leave `parts` out"), "{refused}");
        assert!(part(2, 2).validate().is_err());
        // Parts without a chunk are empty, and come last.
        let found: Vec<_> = ranges(40, 16, 4).collect();
        assert_eq!(found, [0..16, 16..32, 32..40, 40..40]);
    }
}
