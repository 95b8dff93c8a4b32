//! Images and documents of a request, and the data URLs (RFC 2397) in which OpenAI's dialects carry them.

use bytes::{BufMut, BytesMut};

use crate::wire::json::{Object, Text};

#[derive(Clone, Debug)]
pub enum Image<'a> {
    /// Base64. Ollama does not say of which media type.
    Data {
        media_type: Option<String>,
        base64: Text<'a>,
    },
    Url(Text<'a>),
}

/// A file, most likely a PDF.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    pub name: Option<Text<'a>>,
    pub media_type: String,
    pub base64: Text<'a>,
}

impl<'a> Image<'a> {
    /// A data URL gives its base64, any other URL stays one.
    pub(super) fn of_url(url: Text<'a>) -> Self {
        match data_of(url) {
            Some((media_type, base64)) => Self::Data { media_type, base64 },
            None => Self::Url(url),
        }
    }

    /// The media type, told by the first bytes (in base64) where nobody said it.
    pub(super) fn media_type(&self) -> &str {
        const KNOWN: [(&str, &str); 4] = [
            ("iVBOR", "image/png"),
            ("/9j/", "image/jpeg"),
            ("R0lGOD", "image/gif"),
            ("UklGR", "image/webp"),
        ];
        match self {
            Self::Data { media_type: Some(media_type), .. } => media_type,
            Self::Data { media_type: None, base64: Text::Escaped(data) | Text::Plain(data) } => {
                KNOWN.iter().find(|(start, _)| data.starts_with(start)).map_or("image/jpeg", |(_, name)| name)
            }
            Self::Url(_) => "image/jpeg",
        }
    }

    /// Writes the image as a URL, quotes included.
    pub(super) fn write_url(&self, out: &mut BytesMut) {
        match self {
            Self::Url(url) => url.write_quoted(out),
            Self::Data { base64, .. } => write_data_url(self.media_type(), *base64, out),
        }
    }
}

impl<'a> Document<'a> {
    /// A data URL; `None` for anything else.
    pub(super) fn of_url(url: Text<'a>, name: Option<Text<'a>>) -> Option<Self> {
        let (media_type, base64) = data_of(url)?;
        Some(Self { name, media_type: media_type.unwrap_or_else(|| "application/pdf".into()), base64 })
    }

    /// Writes the members `filename` and `file_data`.
    pub(super) fn write_members(&self, object: &mut Object<'_>) {
        object.text("filename", self.name.unwrap_or(Text::Plain("document")));
        write_data_url(&self.media_type, self.base64, object.key("file_data"));
    }
}

/// The media type without its parameters, if there is one, and the data.
fn data_of(url: Text<'_>) -> Option<(Option<String>, Text<'_>)> {
    let (Text::Escaped(text) | Text::Plain(text)) = url;
    let (head, base64) = text.strip_prefix("data:")?.split_once(";base64,")?;
    // JSON may write `/` as `\/`
    let named = head.split(';').next().unwrap_or_default().replace('\\', "").trim().to_ascii_lowercase();
    let media_type = match named.as_str() {
        "" => None,
        "image/jpg" => Some("image/jpeg".into()), // no such type is registered, but many write it
        _ => Some(named),
    };
    Some((media_type, Text::Escaped(base64)))
}

fn write_data_url(media_type: &str, base64: Text<'_>, out: &mut BytesMut) {
    out.put_slice(b"\"data:");
    Text::Plain(media_type).write(out);
    out.put_slice(b";base64,");
    base64.write(out);
    out.put_u8(b'"');
}
