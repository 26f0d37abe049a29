//! Text as a page can hold it: cleaned, escaped, measured, shortened; and numbers as people read them.

/// A text without what would break or turn the page: control characters become spaces, marks that set the direction of
/// the text after them are left out, and so are noncharacters.
pub fn clean(text: &str) -> String {
    let kept = text.chars().filter(|character| !turns(*character) && !is_noncharacter(*character));
    kept.map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A text cleaned and with the five characters of HTML spelt out, for content and for attributes in double quotes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in clean(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The most that a line of text is wide, in the unit of `size`, whatever common sans-serif font shows it.
pub fn width(text: &str, size: f64) -> f64 {
    clean(text).chars().map(advance).sum::<f64>() * size
}

/// A text that is no wider than `room` by [`width`]; where it had to be cut it ends in an ellipsis.
pub fn shorten(text: &str, size: f64, room: f64) -> String {
    let text = clean(text);
    let text = text.trim();
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut left = room / size - advance('…');
    let kept = text.chars().take_while(|character| {
        left -= advance(*character);
        left >= 0.0
    });
    let kept: String = kept.collect();
    // A joiner or a space at the cut would join or part what is no longer there.
    format!("{}…", kept.trim_end_matches(|last: char| last.is_whitespace() || last == '\u{200d}' || last == '\u{fe0f}'))
}

/// A count with commas: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count with the word for what is counted, in its singular or plural.
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number as u64), if number == 1 { one } else { many })
}

/// A number with at least three significant digits: `0.815`, `4.00`, `12.3`, `40,621`, `2.50×10⁻⁷`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e7 || size > 0.0 && size < 1e-3 {
        return scientific(value, 2);
    }
    let text = match size {
        1000.0.. => count(size.round() as u64),
        100.0.. => format!("{size:.0}"),
        10.0.. => format!("{size:.1}"),
        1.0.. => format!("{size:.2}"),
        _ => format!("{size:.3}"),
    };
    signed(value, text)
}

/// A number with a fixed number of decimals, with commas and a true minus sign.
pub fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    signed(value, format!("{whole}{rest}"))
}

/// A rating as it stands in the data: `3`, `0.5`.
pub fn level(value: f32) -> String {
    let text = value.abs().to_string();
    if text.len() <= 7 { signed(value.into(), text) } else { number(value.into()) }
}

/// A share of one in per cent: `37 %`, `4.1 %`, `0 %`. The space does not break.
pub fn percent(share: f64) -> String {
    let decimals = usize::from(share > 0.0 && share < 0.0995);
    format!("{:.decimals$}\u{a0}%", share * 100.0)
}

/// A mantissa and a power of ten.
pub fn scientific(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let raised = exponent.chars().map(|character| match character {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit @ '4'..='9' => char::from_u32(0x2070 + digit as u32 - '0' as u32).unwrap_or(digit),
        _ => '⁰',
    });
    signed(value, format!("{mantissa}×10{}", raised.collect::<String>()))
}

/// A minus sign in front of a magnitude, but for one that reads as zero.
fn signed(value: f64, magnitude: String) -> String {
    let is_zero = magnitude.chars().all(|character| matches!(character, '0' | '.'));
    if value < 0.0 && !is_zero { format!("−{magnitude}") } else { magnitude }
}

/// How far a character moves the pen, in ems: that of DejaVu Sans and Verdana, the widest of the fonts in use, or more.
fn advance(character: char) -> f64 {
    match character {
        ' ' | 'i' | 'j' | 'l' | 'I' | 'J' | '\'' | '.' | ',' | ';' | ':' | '|' => 0.36,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' | '\\' | '!' | '`' | '’' | '‘' | '·' => 0.46,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '—' => 1.08,
        'a'..='z' | '0'..='9' | '"' | '_' | '*' | '?' | '$' | '–' | '“' | '”' => 0.66,
        '!'..='~' => 0.86,
        'À'..='ÿ' => 0.8,
        // Ligatures of whole sentences, dashes of two and three ems, signs of cuneiform.
        '\u{fdf0}'..='\u{fdff}' => 12.0,
        '\u{2e3a}' | '\u{2e3b}' => 3.2,
        '\u{12000}'..='\u{1254f}' => 4.0,
        // Emoji take up to a fourth more than an em.
        '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' => 1.3,
        '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{0300}'..='\u{036f}' => 0.0,
        '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}' => 1.05,
        '\u{80}'..='\u{24f}' => 0.85,
        _ => 1.15,
    }
}

/// Marks, embeddings, overrides and isolates of the bidirectional algorithm, and the separators of lines and paragraphs.
fn turns(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn is_noncharacter(character: char) -> bool {
    let code = u32::from(character);
    code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}
