mod fixture;
mod png;
mod realistic;
