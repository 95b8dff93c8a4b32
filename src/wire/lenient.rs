//! Objects of which members are read by name, whatever their types are, and the rest is known by name: what a server invents is
//! not lost without a word.

use serde_json::value::RawValue;

/// Is there anything in a value: is it not `null`, nor an empty string, list or object?
pub(super) fn says_something(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "\"\"" | "[]" | "{}" | "false")
}

/// Declares an object of fields, each under its own name or another (`kind = "type"`), of any type that has a value for what is not
/// there. `unknown` is the name of the last member that is none of them, nor one of those `without` meaning here, and that says
/// something. Those that come `often` are compared first.
macro_rules! lenient {
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@kind $life:lifetime) => { crate::wire::json::Field<$life> };
    (@kind $life:lifetime $kind:ty) => { $kind };
    (
        $(#[$meta:meta])* struct $name:ident<$life:lifetime> { $($field:ident $(= $key:literal)? $(: $kind:ty)?),+ $(,)? }
        $(often [$($often:literal),+ $(,)?])? without [$($silent:literal),* $(,)?]
    ) => {
        $(#[$meta])*
        #[derive(Default)]
        pub(super) struct $name<$life> {
            $(pub(super) $field: crate::wire::lenient::lenient!(@kind $life $($kind)?),)+
            pub(super) unknown: Option<std::borrow::Cow<$life, str>>,
        }

        impl<$life> serde::Deserialize<$life> for $name<$life> {
            fn deserialize<D: serde::Deserializer<$life>>(from: D) -> Result<Self, D::Error> {
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
                                $($($often)|+ => drop(map.next_value::<serde::de::IgnoredAny>()?),)?
                                $(crate::wire::lenient::lenient!(@key $field $($key)?) => read.$field = map.next_value()?,)+
                                "" $(| $silent)* => drop(map.next_value::<serde::de::IgnoredAny>()?),
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
