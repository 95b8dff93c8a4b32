//! The scripts: each does one thing to one stream or one key, and nothing comes between its parts.

use redis::Script;

pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) append: Script,
    pub(super) look: Script,
    pub(super) fence: Script,
    pub(super) cancel: Script,
    pub(super) delete: Script,
    pub(super) view: Script,
    pub(super) claim: Script,
    pub(super) converse: Script,
    pub(super) admit_channel: Script,
    pub(super) open_channel: Script,
    pub(super) publish: Script,
    pub(super) end_channel: Script,
    pub(super) draw: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            create: Script::new(include_str!("lua/create.lua")),
            append: Script::new(include_str!("lua/append.lua")),
            look: Script::new(include_str!("lua/look.lua")),
            fence: Script::new(include_str!("lua/fence.lua")),
            cancel: Script::new(include_str!("lua/cancel.lua")),
            delete: Script::new(include_str!("lua/delete.lua")),
            view: Script::new(include_str!("lua/view.lua")),
            claim: Script::new(include_str!("lua/claim.lua")),
            converse: Script::new(include_str!("lua/converse.lua")),
            admit_channel: Script::new(include_str!("lua/admit_channel.lua")),
            open_channel: Script::new(include_str!("lua/open_channel.lua")),
            publish: Script::new(include_str!("lua/publish.lua")),
            end_channel: Script::new(include_str!("lua/end_channel.lua")),
            draw: Script::new(include_str!("lua/draw.lua")),
        }
    }
}
