//! One of the pieces that a figure is put together from: a chart with its
//! headings, or a picture with its caption.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::chart::Drawing;
use crate::report::format;

pub(super) enum Tile {
    Chart {
        /// What stands above it; may be empty.
        title: String,
        /// Name of the vertical axis.
        y_name: String,
        /// What stands smaller beside that name; may be empty.
        aside: String,
        /// Twice as high as others.
        tall: bool,
        /// Or why it could not be drawn.
        drawing: Result<Drawing, String>,
    },
    Picture {
        /// A PNG, or why there is none.
        image: Result<Vec<u8>, String>,
        alt: String,
        place: String,
        /// To the task that left it.
        link: Markup,
    },
}

impl Tile {
    pub(super) fn chart(title: &str, y_name: &str, drawing: Result<Drawing, String>) -> Self {
        Self::Chart {
            title: title.to_owned(),
            y_name: y_name.to_owned(),
            aside: String::new(),
            tall: false,
            drawing,
        }
    }

    pub(super) fn with_aside(mut self, text: Option<String>) -> Self {
        if let (Self::Chart { aside, .. }, Some(text)) = (&mut self, text) {
            *aside = text;
        }
        self
    }

    pub(super) fn tall(mut self) -> Self {
        if let Self::Chart { tall, .. } = &mut self {
            *tall = true;
        }
        self
    }

    /// As it stands on the page.
    pub(super) fn html(&self) -> Markup {
        match self {
            Self::Chart {
                title,
                y_name,
                aside,
                tall,
                drawing,
            } => html! {
                div.panel.tall[*tall] {
                    @if !title.is_empty() { h4 { (title) } }
                    div.y-name {
                        (y_name)
                        @if !aside.is_empty() { span.muted { " " (aside) } }
                    }
                    @match drawing {
                        Ok(drawing) => (drawing.html()),
                        Err(why) => p.empty { "Not drawn: " (format::clean(why)) "." },
                    }
                }
            },
            Self::Picture {
                image,
                alt,
                place,
                link,
            } => html! {
                figure.picture {
                    @match image {
                        Ok(bytes) => img src=(data_url(bytes)) alt=(alt);,
                        Err(why) => p.empty { "— " (format::clean(why)) },
                    }
                    figcaption {
                        span { (place) }
                        (link)
                    }
                }
            },
        }
    }
}

/// A PNG as a link that holds it.
pub(super) fn data_url(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}
