//! How a message's block is declared: once, with its number, its fields and their types in the schema.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where a field lies in its block, for tests and tools that hold the layouts against the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLayout {
    /// Its name, in snake case.
    pub name: &'static str,
    /// Its type in the schema.
    pub schema_type: &'static str,
    /// Where it begins.
    pub offset: usize,
    /// Its bytes.
    pub size: usize,
}

/// A message's block of fixed size.
pub trait Block: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned {
    /// Which message.
    const TEMPLATE: u16;
    /// Its name in the schema.
    const NAME: &'static str;
    /// Its fields, in order.
    const FIELDS: &'static [FieldLayout];
    /// Whether a group stands behind it.
    const HAS_GROUP: bool;
}

/// A block that begins as all do: number and time of the message.
pub trait RequestBlock: Block {
    /// Number of the message in its sender's session.
    fn sequence_number(&self) -> U64;
    /// When it was sent.
    fn sending_time(&self) -> U64;
}

/// An entry of a message's group.
pub trait Entry: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned {
    /// The message's name in the schema.
    const MESSAGE: &'static str;
    /// Its fields, in order.
    const FIELDS: &'static [FieldLayout];
}

/// Declares a message (`Name = template`), one with a group (`Name = template, group`), or a group's entry
/// (`Name in Message`).
macro_rules! block {
    ($(#[$doc:meta])* $name:ident = $template:literal { $($body:tt)* }) => {
        block! { @struct $(#[$doc])* $name { $($body)* } }
        block! { @message $name, $template, false, { $($body)* } }
    };
    ($(#[$doc:meta])* $name:ident = $template:literal, group { $($body:tt)* }) => {
        block! { @struct $(#[$doc])* $name { $($body)* } }
        block! { @message $name, $template, true, { $($body)* } }
    };
    ($(#[$doc:meta])* $name:ident in $message:ident { $($body:tt)* }) => {
        block! { @struct $(#[$doc])* $name { $($body)* } }
        impl $crate::wire::sbe::Entry for $name {
            const MESSAGE: &'static str = stringify!($message);
            const FIELDS: &'static [$crate::wire::sbe::FieldLayout] = block!(@fields $name { $($body)* });
        }
    };
    (@struct $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty as $schema:ident,)* }) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            PartialEq,
            Eq,
            zerocopy::FromBytes,
            zerocopy::IntoBytes,
            zerocopy::KnownLayout,
            zerocopy::Immutable,
            zerocopy::Unaligned,
        )]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
    (@message $name:ident, $template:literal, $group:literal, { $($body:tt)* }) => {
        impl $crate::wire::sbe::Block for $name {
            const TEMPLATE: u16 = $template;
            const NAME: &'static str = stringify!($name);
            const FIELDS: &'static [$crate::wire::sbe::FieldLayout] = block!(@fields $name { $($body)* });
            const HAS_GROUP: bool = $group;
        }
        impl $crate::wire::sbe::RequestBlock for $name {
            fn sequence_number(&self) -> zerocopy::little_endian::U64 {
                self.sequence_number
            }

            fn sending_time(&self) -> zerocopy::little_endian::U64 {
                self.sending_time
            }
        }
    };
    (@fields $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty as $schema:ident,)* }) => {
        &[$($crate::wire::sbe::FieldLayout {
            name: stringify!($field),
            schema_type: stringify!($schema),
            offset: core::mem::offset_of!($name, $field),
            size: size_of::<$type>(),
        },)*]
    };
}
