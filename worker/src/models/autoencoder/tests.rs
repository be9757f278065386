use ablate_proto::failure::FailureClass;
use ablate_proto::stage::AutoencoderSpec;

use super::*;

fn images(channels: usize, side: usize) -> Images {
    Images {
        n: 0,
        channels,
        h: side,
        w: side,
        data: vec![],
    }
}

fn arch(channels: usize, side: usize, depth: usize, wide: usize, nod: usize) -> Arch {
    let widths = [64, 256, 512, 512, 512, 512];
    let spec = AutoencoderSpec {
        channels: widths[..depth].to_vec(),
        wide,
        latent_channels: nod,
        ..AutoencoderSpec::default()
    };
    Arch::new(&spec, &images(channels, side)).unwrap()
}

/// The table of science.md §3.1: (channels, side, depth, wide, NoD), latent
/// side, parameters of the encoder, of the decoder, and of both.
#[test]
fn parameter_counts_are_those_of_the_table() {
    for ((c, side, depth, wide, nod), latent, encoder, decoder, total) in [
        ((1, 28, 2, 1024, 8), 7, 534_856, 6_303_906, 6_838_762),
        ((3, 32, 2, 1024, 8), 8, 536_904, 6_307_110, 6_844_014),
        ((3, 32, 1, 1024, 1), 16, 70_721, 5_797_094, 5_867_815),
        ((3, 32, 3, 8196, 8), 4, 6_633_324, 15_551_050, 22_184_374),
        ((3, 32, 3, 8196, 12), 4, 6_666_112, 15_583_834, 22_249_946),
        ((3, 32, 3, 8196, 32), 4, 6_830_052, 15_747_754, 22_577_806),
        ((3, 256, 2, 1024, 1), 64, 529_729, 6_299_942, 6_829_671),
        ((3, 256, 3, 8196, 1), 32, 6_575_945, 15_493_678, 22_069_623),
        ((3, 256, 4, 8196, 1), 16, 10_770_761, 19_688_494, 30_459_255),
        ((3, 256, 5, 8196, 8), 8, 15_022_956, 23_940_682, 38_963_638),
        ((3, 256, 6, 8196, 32), 4, 19_414_500, 28_332_202, 47_746_702),
    ] {
        let arch = arch(c, side, depth, wide, nod);
        let count = |plans: Vec<crate::nn::layer::Plan>| -> usize {
            plans.iter().map(crate::nn::layer::Plan::parameters).sum()
        };
        assert_eq!(arch.latent_side(), latent);
        assert_eq!(count(arch.encoder()), encoder, "encoder of {arch:?}");
        assert_eq!(count(arch.decoder()), decoder, "decoder of {arch:?}");
        assert_eq!(arch.parameters(), total);
        let sides = arch
            .decoder()
            .iter()
            .try_fold([latent; 2], |sides, plan| plan.out_sides(sides));
        assert_eq!(sides, Some([side; 2]), "the decoder's output");
    }
    assert_eq!(arch(3, 32, 3, 8192, 8).parameters(), 22_178_158);
}

/// Per-layer counts of Table 5 with NoD 8.
#[test]
fn every_layer_of_table_5_has_its_size() {
    let arch = arch(3, 32, 3, 8196, 8);
    let plans = arch.encoder().into_iter().chain(arch.decoder());
    let counts: Vec<_> = plans.map(|plan| plan.parameters()).collect();
    let encoder = [3_136, 262_400, 2_097_664, 4_204_548, 65_576];
    let decoder = [
        73_764, 8_393_728, 4_719_104, 2_097_408, 262_208, 3_075, 896, 867,
    ];
    assert_eq!(counts, [&encoder[..], &decoder[..]].concat());
}

fn small() -> Arch {
    let spec = AutoencoderSpec {
        channels: vec![6, 7],
        wide: 5,
        latent_channels: 3,
        decoder_in: 6,
        decoder_front: 4,
        refine: 3,
        ..AutoencoderSpec::default()
    };
    Arch::new(&spec, &images(2, 8)).unwrap()
}

#[test]
fn a_model_file_gives_the_same_model_back_and_refuses_another() {
    let folder = tempfile::tempdir().unwrap();
    let model = Autoencoder::fresh(small(), 1).unwrap();
    model.write(folder.path()).unwrap();
    let again = Autoencoder::read(folder.path()).unwrap();
    let input = Images {
        n: 3,
        data: (0..3 * 128u16)
            .map(|i| f32::from(i % 13) / 7.0 - 1.0)
            .collect(),
        ..images(2, 8)
    };
    let z = model.latents(&input).unwrap();
    assert_eq!((z.n, z.side, z.channels), (3, 2, 3));
    assert_eq!(again.latents(&input).unwrap(), z);
    let out = model.images(&z).unwrap();
    assert_eq!(out.shape(), input.shape());
    assert_eq!(again.images(&z).unwrap(), out);

    let mut other = small();
    other.wide += 1;
    let values = params::export(&model.encoder_named).unwrap();
    family::write(folder.path(), FAMILY, &other, values).unwrap();
    let failure = Autoencoder::read(folder.path()).unwrap_err();
    assert_eq!(failure.class, FailureClass::Data, "{failure}");
}

#[test]
fn a_fresh_decoder_keeps_the_encoder() {
    let model = Autoencoder::fresh(small(), 1).unwrap();
    let (encoder, decoder) = (model.encoder_named.clone(), model.decoder_named.clone());
    let fresh = model.with_fresh_decoder(2).unwrap();
    let export = |named| params::export(named).unwrap();
    assert_eq!(export(&fresh.encoder_named), export(&encoder));
    assert_ne!(export(&fresh.decoder_named), export(&decoder));
}

#[test]
fn sides_that_cannot_be_halved_are_a_config_failure() {
    let spec = AutoencoderSpec::default();
    let failure = Arch::new(&spec, &images(1, 28)).unwrap_err();
    assert_eq!(failure.class, FailureClass::Config);
}
