//! Objects of which members are read by name, whatever their types are, and the rest is known by name: what a server invents is
//! not lost without a word.

use serde_json::value::RawValue;

/// Is there anything in a value: is it not `null`, nor an empty string, list or object?
pub(super) fn says_something(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "\"\"" | "[]" | "{}" | "false")
}

/// Declares an object of fields. `unknown` is the name of the last member that is none of them, nor one of those `without` meaning
/// here, and that says something.
macro_rules! lenient {
    ($(#[$meta:meta])* struct $name:ident { $($field:ident),+ $(,)? } without [$($silent:literal),* $(,)?]) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(super) struct $name<'a> {
            $(pub(super) $field: crate::wire::json::Field<'a>,)+
            pub(super) unknown: Option<std::borrow::Cow<'a, str>>,
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Reader;
                impl<'de> serde::de::Visitor<'de> for Reader {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                        let mut read = $name::default();
                        while let Some(crate::wire::members::Key(key)) = map.next_key()? {
                            match key.as_ref() {
                                $(stringify!($field) => read.$field = map.next_value()?,)+
                                $($silent)|* => drop(map.next_value::<serde::de::IgnoredAny>()?),
                                _ => {
                                    let value: &serde_json::value::RawValue = map.next_value()?;
                                    if crate::wire::lenient::says_something(value) {
                                        read.unknown = Some(key);
                                    }
                                }
                            }
                        }
                        Ok(read)
                    }
                }
                from.deserialize_map(Reader)
            }
        }
    };
}

pub(super) use lenient;
