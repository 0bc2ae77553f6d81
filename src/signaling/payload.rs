//! What one client says to another: any JSON, kept as the text that it came in.

use std::sync::Arc;

use memchr::memchr2_iter;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// The deepest nesting of arrays and objects in a message. A browser's signals need four.
pub const MAX_DEPTH: usize = 32;

/// JSON that the server passes on without taking it apart. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Payload(Arc<Box<RawValue>>);

impl Payload {
    /// Of a value of ours.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        // Fails only for maps whose keys are no strings.
        Self(to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()).into())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Takes it apart as a `T`, if it is one.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_str(self.as_str()).ok()
    }

    /// Takes it apart. What no number of ours can hold becomes `null`.
    pub fn to_value(&self) -> Value {
        self.read().unwrap_or_default()
    }
}

impl From<&RawValue> for Payload {
    fn from(raw: &RawValue) -> Self {
        Self(raw.to_owned().into())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.to_value() == other.to_value()
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    /// Through a tree, for only that survives the buffering of a tagged enum.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of(&value))
    }
}

/// Whether JSON text nests arrays and objects deeper than [`MAX_DEPTH`]. Most has fewer brackets than that in all.
pub(crate) fn is_too_deep(json: &str) -> bool {
    memchr2_iter(b'{', b'[', json.as_bytes()).nth(MAX_DEPTH).is_some() && depth(json) > MAX_DEPTH
}

fn depth(json: &str) -> usize {
    let (mut deepest, mut depth) = (0, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        let text = json!({ "sdp": "[{".repeat(100), "quote\"[": "\\" }).to_string();
        assert!(!is_too_deep(&text));
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_too_deep(&nested(MAX_DEPTH)));
        assert!(is_too_deep(&nested(MAX_DEPTH + 1)));
        assert!(!is_too_deep(&json!(vec![json!([]); 1000]).to_string()), "wide is not deep");
    }

    proptest! {
        #[test]
        fn the_text_is_kept(text in "\\PC{0,80}", number in any::<i64>()) {
            let value = json!({ "text": text, "number": number });
            let payload = Payload::of(&value);
            prop_assert_eq!(payload.to_value(), value);
            prop_assert_eq!(serde_json::to_string(&payload).unwrap(), payload.as_str());
        }
    }
}
