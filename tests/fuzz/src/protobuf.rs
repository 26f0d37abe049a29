//! What is in an ONNX file, read by the wire format and the numbers of `onnx.proto` alone: nothing of the writer is used.

use std::collections::HashSet;

/// A field: its number and its value.
type Field<'a> = (u64, Value<'a>);

/// The value of a field.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Makes sure that a file is a whole model of one graph: each value is made once and before it is read, each constant has as many bytes as its
/// sizes say, and the outputs are made; the same of a graph inside a node, which may read what is around it.
pub fn is_whole(file: &[u8], outputs: &[&str]) {
    let model = fields(file);
    assert!(texts(&model, 2).iter().eq(["cofi"].iter()), "the producer");
    let opsets: Vec<_> = messages(&model, 8).iter().map(|opset| (text(opset, 1), number(opset, 2))).collect();
    assert!(opsets.iter().any(|(domain, version)| domain.is_empty() && *version == Some(18)), "{opsets:?}");
    let graphs = messages(&model, 7);
    let [graph] = graphs.as_slice() else { panic!("{} graphs", graphs.len()) };
    let domains: HashSet<String> = opsets.into_iter().map(|(domain, _)| domain).collect();
    assert_eq!(is_graph(graph, HashSet::from([String::new()]), &domains), outputs);
}

/// Makes sure of a graph, of which `known` is made around it; returns its outputs.
fn is_graph(graph: &[Field<'_>], mut known: HashSet<String>, domains: &HashSet<String>) -> Vec<String> {
    for input in messages(graph, 11) {
        assert!(known.insert(text(&input, 1)), "the input {} twice", text(&input, 1));
    }
    for constant in messages(graph, 5) {
        assert!(known.insert(text(&constant, 8)), "the constant {} twice", text(&constant, 8));
        is_tensor(&constant);
    }
    for node in messages(graph, 1) {
        let operator = text(&node, 4);
        for read in texts(&node, 1) {
            assert!(known.contains(&read), "{operator} reads {read:?}, which nothing before it makes");
        }
        assert!(domains.contains(&text(&node, 7)), "{operator} is of {}", text(&node, 7));
        for attribute in messages(&node, 5) {
            messages(&attribute, 5).iter().for_each(is_tensor);
            messages(&attribute, 6).iter().for_each(|inner| drop(is_graph(inner, known.clone(), domains)));
            assert!(!text(&attribute, 1).is_empty() && number(&attribute, 20).is_some(), "an attribute of {operator}");
        }
        for made in texts(&node, 2) {
            assert!(known.insert(made.clone()), "{operator} makes {made:?} again");
        }
    }
    let declared: Vec<String> = messages(graph, 12).iter().map(|output| text(output, 1)).collect();
    declared.iter().for_each(|output| assert!(known.contains(output), "nothing makes the output {output}"));
    declared
}

/// `dims` times the size of an element are the bytes of a tensor.
fn is_tensor(tensor: &Vec<Field<'_>>) {
    let mut n_elements = 1;
    for (field, value) in tensor {
        match *value {
            Value::Number(size) if *field == 1 => n_elements *= size,
            Value::Bytes(mut packed) if *field == 1 => {
                while !packed.is_empty() {
                    n_elements *= varint(&mut packed);
                }
            }
            _ => {}
        }
    }
    let size = match number(tensor, 2) {
        Some(1 | 6) => 4,
        Some(7) => 8,
        other => panic!("a tensor of the type {other:?}"),
    };
    let raw = tensor.iter().find_map(|(field, value)| match value {
        Value::Bytes(bytes) if *field == 9 => Some(bytes.len() as u64),
        _ => None,
    });
    assert_eq!(raw.unwrap_or(0), n_elements * size, "the bytes of {}", text(tensor, 8));
}

/// All fields of a message.
fn fields(mut bytes: &[u8]) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at_checked(length).expect("a field that ends before its message does");
                bytes = rest;
                Value::Bytes(value)
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a number that ends before its message does");
        *bytes = rest;
        number |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return number;
        }
    }
    panic!("a number of more than 64 bits")
}

fn messages<'a>(fields: &[Field<'a>], number: u64) -> Vec<Vec<Field<'a>>> {
    let mut messages = Vec::new();
    for (field, value) in fields {
        if let Value::Bytes(bytes) = value
            && *field == number
        {
            messages.push(self::fields(bytes));
        }
    }
    messages
}

fn texts(fields: &[Field<'_>], number: u64) -> Vec<String> {
    let mut texts = Vec::new();
    for (field, value) in fields {
        if let Value::Bytes(bytes) = value
            && *field == number
        {
            texts.push(String::from_utf8(bytes.to_vec()).expect("UTF-8"));
        }
    }
    texts
}

fn text(fields: &[Field<'_>], number: u64) -> String {
    texts(fields, number).pop().unwrap_or_default()
}

fn number(fields: &[Field<'_>], number: u64) -> Option<u64> {
    fields.iter().find_map(|(field, value)| match value {
        Value::Number(value) if *field == number => Some(*value),
        _ => None,
    })
}
