//! The colours of the page, in its light and its dark form. Nothing else on the page names a colour.

use std::fmt::Write;

/// A colour by name, as `#rrggbb` on a light and on a dark page.
#[derive(Clone, Copy, Debug)]
pub struct Colour {
    /// The custom property without its dashes.
    pub name: &'static str,
    /// On a light page and in print.
    pub light: &'static str,
    /// On a dark page.
    pub dark: &'static str,
}

/// The grades of the heat map, from nothing to most: each is a colour `heat-n` with the ink `on-heat-n` upon it.
pub const GRADES: usize = 9;

/// Blue and orange are told apart with every common colour blindness, and by lightness in print.
pub const PALETTE: [Colour; 25] = [
    colour("paper", "#fdfdfb", "#14171b"),
    colour("ink", "#1a1d21", "#eceff2"),
    colour("quiet", "#586069", "#a5adb6"),
    colour("blue", "#1b62ad", "#7ab3ef"),
    colour("orange", "#b04c0b", "#f0a060"),
    colour("far", "#8b939c", "#656d77"),
    colour("grid", "#e4e7ea", "#2a2f36"),
    colour("heat-0", "#eef4fc", "#1c242c"),
    colour("heat-1", "#c6def8", "#25374b"),
    colour("heat-2", "#a2c7f1", "#304b69"),
    colour("heat-3", "#7fafe5", "#3b5e85"),
    colour("heat-4", "#5f98d7", "#456d99"),
    colour("heat-5", "#2f71b7", "#5e8ec2"),
    colour("heat-6", "#1b60a6", "#72a5de"),
    colour("heat-7", "#075498", "#8abdf7"),
    colour("heat-8", "#003f7d", "#a4d6ff"),
    colour("on-heat-0", "#1a1d21", "#f2f4f6"),
    colour("on-heat-1", "#1a1d21", "#f2f4f6"),
    colour("on-heat-2", "#1a1d21", "#f2f4f6"),
    colour("on-heat-3", "#1a1d21", "#f2f4f6"),
    colour("on-heat-4", "#1a1d21", "#f2f4f6"),
    colour("on-heat-5", "#ffffff", "#101214"),
    colour("on-heat-6", "#ffffff", "#101214"),
    colour("on-heat-7", "#ffffff", "#101214"),
    colour("on-heat-8", "#ffffff", "#101214"),
];

/// The declarations of all colours, as custom properties.
pub fn properties(shade: fn(&Colour) -> &'static str) -> String {
    PALETTE.iter().fold(String::new(), |mut css, colour| {
        let _ = write!(css, "--{}:{};", colour.name, shade(colour));
        css
    })
}

/// The rules that give every grade of the heat map its colour, and its ink to text and frames.
pub fn grades() -> String {
    (0..GRADES).fold(String::new(), |mut css, grade| {
        let _ = writeln!(css, ".heat-{grade}{{fill:var(--heat-{grade})}}");
        let _ = writeln!(css, ".on-heat-{grade}{{fill:var(--on-heat-{grade})}}");
        let _ = writeln!(css, ".frame-{grade}{{fill:none;stroke:var(--on-heat-{grade});stroke-width:1.5}}");
        css
    })
}

const fn colour(name: &'static str, light: &'static str, dark: &'static str) -> Colour {
    Colour { name, light, dark }
}
