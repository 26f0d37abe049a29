//! A forward graph with its parameters as the bytes of an `.onnx` file that takes ids, for any ONNX runtime that has the
//! operators of `ai.onnx.ml`.
//!
//! An id becomes a row by `LabelEncoder`, an unknown one the row -1, which `Gather` reads from the end. What is read there is
//! never told: `Where` puts NaN in its place at the very end, as operators in between may lose a NaN (ONNX leaves open what
//! `max(NaN, 0)` is).

use prost::Message;

use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, NodeId};
use crate::runtime::evaluator::LARGEST_MODEL;
use crate::runtime::onnx::{lower_forward, model_proto};
use crate::runtime::proto::{
    FLOAT, GraphProto, INT64, NodeProto, OperatorSetIdProto, STRING, StringStringEntryProto, ValueInfoProto,
    integer_attribute, integers_attribute, node_proto, strings_attribute, tensor,
};

/// The domain of `LabelEncoder`.
const ML_DOMAIN: &str = "ai.onnx.ml";
/// The first version whose `LabelEncoder` takes keys and values of any type.
const ML_VERSION: i64 = 2;
/// What an id costs in the file at most, beside its bytes: tags, lengths and the row.
const BYTES_PER_KEY: usize = 12;

const UNKNOWN: &str = "#is_unknown";
const NAN: &str = "#nan";
const FIRST_ROW: &str = "#first_row";
const COLUMN_AXIS: &str = "#column_axis";

/// What such a file is made of.
pub struct OnnxFile<'a> {
    /// The forward pass; its inputs are row numbers, `[B]`.
    pub graph: &'a Graph,
    /// The outputs by name: `[B]` or `[B, N]`, floats.
    pub outputs: &'a [(NodeId, &'a str)],
    /// The values of all states of the graph.
    pub parameters: &'a [(String, Vec<f32>)],
    /// The ids of each input of the graph.
    pub ids: Vec<IdInput<'a>>,
    /// What is computed, for readers.
    pub formula: &'a str,
    /// Properties of the model.
    pub metadata: Vec<(&'a str, String)>,
}

/// An input of ids in place of one of row numbers.
pub struct IdInput<'a> {
    /// The input's name.
    pub name: &'a str,
    /// The ids in the order of the rows.
    pub keys: Keys<'a>,
}

/// Ids of one type.
pub enum Keys<'a> {
    /// `INT64`.
    Integers(Vec<i64>),
    /// `STRING`.
    Texts(Vec<&'a str>),
}

impl OnnxFile<'_> {
    /// The bytes of the file.
    ///
    /// # Errors
    /// More than a message of protobuf may have; parameters that do not fit the states; an input without ids.
    pub fn into_bytes(self) -> Result<Vec<u8>> {
        self.graph.check_states(self.parameters)?;
        let parameters: usize = self.parameters.iter().map(|(_, values)| values.len() * size_of::<f32>()).sum();
        let keys: usize = self.ids.iter().map(|ids| ids.keys.n_bytes()).sum();
        check_size(parameters + keys)?;

        let inner: Vec<_> = self.outputs.iter().map(|(id, name)| (*id, inner_name(name))).collect();
        let inner: Vec<_> = inner.iter().map(|(id, name)| (*id, name.as_str())).collect();
        let mut proto = lower_forward(self.graph, &inner, self.parameters);
        take_ids(&mut proto, self.ids)?;
        for (output, name) in self.outputs {
            give_known(&mut proto, name, self.graph.shape(*output).dims())?;
        }

        let mut model = model_proto(proto);
        model.producer_version = Some(env!("CARGO_PKG_VERSION").to_owned());
        model.doc_string = Some(self.formula.to_owned());
        model.opset_import.push(OperatorSetIdProto { domain: Some(ML_DOMAIN.to_owned()), version: Some(ML_VERSION) });
        let property =
            |(key, value): (&str, _)| StringStringEntryProto { key: Some(key.to_owned()), value: Some(value) };
        model.metadata_props = self.metadata.into_iter().map(property).collect();
        check_size(model.encoded_len())?;
        Ok(model.encode_to_vec())
    }
}

impl Keys<'_> {
    fn n_bytes(&self) -> usize {
        match self {
            Keys::Integers(keys) => keys.len() * BYTES_PER_KEY,
            Keys::Texts(keys) => keys.iter().map(|key| key.len() + BYTES_PER_KEY).sum(),
        }
    }

    fn data_type(&self) -> i32 {
        match self {
            Keys::Integers(_) => INT64,
            Keys::Texts(_) => STRING,
        }
    }
}

fn check_size(n_bytes: usize) -> Result<()> {
    if n_bytes <= LARGEST_MODEL {
        return Ok(());
    }
    Err(Error::new(format!(
        "the model would have about {n_bytes} bytes, more than the {LARGEST_MODEL} that an ONNX file may have; train fewer factors, \
         or on fewer users and items"
    )))
}

/// The value of an output before unknown ids are looked at.
fn inner_name(output: &str) -> String {
    format!("#{output}")
}

/// Turns each input of row numbers into one of ids, and adds the value [`UNKNOWN`], `[B]`.
fn take_ids(proto: &mut GraphProto, ids: Vec<IdInput<'_>>) -> Result<()> {
    proto.initializer.push(tensor(FIRST_ROW, &[], INT64, &0i64.to_le_bytes()));
    let (mut encoders, mut unknown) = (Vec::new(), Vec::new());
    for input in &mut proto.input {
        let name = input.name.clone().unwrap_or_default();
        let (rows, is_unknown) = (format!("#{name}_row"), format!("#{name}_is_unknown"));
        let Some(IdInput { keys, .. }) = ids.iter().find(|ids| ids.name == name) else {
            return Err(Error::new(format!("export: there are no ids of the input {name}")));
        };
        set_type(input, keys.data_type());
        encoders.push(label_encoder(&name, keys, &rows));
        encoders.push(node_proto("Less", &[&rows, FIRST_ROW], &is_unknown, vec![]));
        unknown.push(is_unknown);
        for read in proto.node.iter_mut().flat_map(|node| &mut node.input).filter(|read| **read == name) {
            rows.clone_into(read);
        }
    }
    let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
    encoders.push(match unknown[..] {
        [one, other] => node_proto("Or", &[one, other], UNKNOWN, vec![]),
        _ => return Err(Error::new(format!("export: {} inputs, not those of a pair", unknown.len()))),
    });
    proto.node.splice(..0, encoders);
    Ok(())
}

fn label_encoder(input: &str, keys: &Keys<'_>, rows: &str) -> NodeProto {
    let (keys, n_keys) = match keys {
        Keys::Integers(keys) => (integers_attribute("keys_int64s", keys.clone()), keys.len()),
        Keys::Texts(keys) => {
            (strings_attribute("keys_strings", keys.iter().map(|key| key.as_bytes().to_vec()).collect()), keys.len())
        }
    };
    let values = integers_attribute("values_int64s", (0..n_keys as i64).collect());
    let attributes = vec![keys, values, integer_attribute("default_int64", -1)];
    NodeProto { domain: Some(ML_DOMAIN.to_owned()), ..node_proto("LabelEncoder", &[input], rows, attributes) }
}

/// Gives an output to the caller, NaN where an id is unknown.
fn give_known(proto: &mut GraphProto, name: &str, dims: &[Dim]) -> Result<()> {
    let inner = inner_name(name);
    let Some(output) = proto.output.iter_mut().find(|output| output.name.as_ref() == Some(&inner)) else {
        return Err(Error::new(format!("export: there is no output {name}")));
    };
    output.name = Some(name.to_owned());
    if !proto.initializer.iter().any(|constant| constant.name.as_deref() == Some(NAN)) {
        proto.initializer.push(tensor(NAN, &[], FLOAT, &f32::NAN.to_le_bytes()));
    }
    let mut unknown = UNKNOWN.to_owned();
    if dims.len() > 1 {
        unknown = format!("#{name}_is_unknown");
        let axis = format!("{COLUMN_AXIS}_{name}");
        proto.initializer.push(tensor(&axis, &[1], INT64, &1i64.to_le_bytes()));
        proto.node.push(node_proto("Unsqueeze", &[UNKNOWN, &axis], &unknown, vec![]));
    }
    proto.node.push(node_proto("Where", &[&unknown, NAN, &inner], name, vec![]));
    Ok(())
}

fn set_type(input: &mut ValueInfoProto, data_type: i32) {
    if let Some(tensor) = input.r#type.as_mut().and_then(|declared| declared.tensor_type.as_mut()) {
        tensor.elem_type = Some(data_type);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Element, Shape};

    /// `values[user]`, for two users.
    fn file_of(names: &[&str]) -> Result<Vec<u8>> {
        let mut graph = Graph::new();
        let values = graph.state("values", Shape::vector(Dim::Fixed(2)))?;
        let [user, item] = ["user", "item"].map(|name| graph.input(name, Shape::vector(Dim::Batch), Element::Index));
        let (of_user, of_item) = (graph.gather(values, user?)?, graph.gather(values, item?)?);
        let sum = graph.add(of_user, of_item)?;
        OnnxFile {
            graph: &graph,
            outputs: &[(sum, "rating")],
            parameters: &[("values".to_owned(), vec![1.0, 2.0])],
            ids: names.iter().map(|name| IdInput { name, keys: Keys::Texts(vec!["a", "b"]) }).collect(),
            formula: "",
            metadata: vec![],
        }
        .into_bytes()
    }

    #[test]
    fn every_input_has_ids() {
        assert!(file_of(&["user", "item"]).is_ok());
        assert_eq!(file_of(&["user"]).unwrap_err().to_string(), "export: there are no ids of the input item");
    }

    #[test]
    fn what_protobuf_cannot_hold_is_refused() {
        assert!(check_size(LARGEST_MODEL).is_ok());
        let message = check_size(LARGEST_MODEL + 1).unwrap_err().to_string();
        assert!(message.starts_with("the model would have about 2147483648 bytes"), "{message}");
        assert_eq!(Keys::Texts(vec!["ab", ""]).n_bytes(), 2 + 2 * BYTES_PER_KEY);
    }
}
