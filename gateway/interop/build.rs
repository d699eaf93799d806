//! Generates decoders from the schema with `sbe_gen`, and for each message a function that names every field's value, so
//! that none can be left out of the comparison.

use std::fmt::Write as _;
use std::path::Path;

/// A field: its name in the schema and its type.
type Field = (String, String);

/// A message: its name, its fields, and its group's name and fields.
type Message = (String, Vec<Field>, Option<(String, Vec<Field>)>);

fn main() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/lakh.xml");
    println!("cargo:rerun-if-changed={}", schema.display());
    let xml = std::fs::read_to_string(schema).expect("the schema is there");
    let modules = sbe_gen::generate(&xml, &sbe_gen::GeneratorOptions::default()).expect("the schema is understood");
    let mut code = String::new();
    for (name, contents) in modules {
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "mod") else { continue };
        let contents: Vec<&str> = contents.lines().filter(|line| !line.starts_with("#![")).collect();
        writeln!(code, "pub mod {module} {{\n{}\n}}", contents.join("\n")).expect("a string takes any text");
    }
    let folder = std::env::var("OUT_DIR").expect("cargo says where");
    std::fs::write(Path::new(&folder).join("generated.rs"), code).expect("cargo's folder can be written");
    std::fs::write(Path::new(&folder).join("described.rs"), described(&xml)).expect("cargo's folder can be written");
}

/// The value of an attribute of a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let end = tag[start..].find('"')? + start;
    Some(tag[start..end].to_owned())
}

fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, letter| {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}

/// The messages and enumerations of the schema, which has one tag a line.
fn read(xml: &str) -> (Vec<Message>, Vec<String>) {
    let (mut messages, mut enums): (Vec<Message>, Vec<String>) = (Vec::new(), Vec::new());
    for line in xml.lines().map(str::trim) {
        let named = |what| attribute(line, what).expect("each of these has one");
        if line.starts_with("<sbe:message ") {
            messages.push((named("name"), Vec::new(), None));
        } else if line.starts_with("<group ") {
            messages.last_mut().expect("a group is in a message").2 = Some((named("name"), Vec::new()));
        } else if line.starts_with("<field ") {
            let message = messages.last_mut().expect("a field is in a message");
            let fields = message.2.as_mut().map_or(&mut message.1, |group| &mut group.1);
            fields.push((named("name"), named("type")));
        } else if line.starts_with("<enum ") {
            enums.push(named("name"));
        }
    }
    (messages, enums)
}

fn described(xml: &str) -> String {
    let (messages, enums) = read(xml);
    let mut code = String::new();
    for name in enums {
        writeln!(
            code,
            "impl Shown for generated::types::{name} {{ fn shown(&self) -> String {{ \
             self.as_enum().map_or_else(|| \"?\".to_owned(), |value| format!(\"{{value:?}}\")) }} }}"
        )
        .expect("a string takes any text");
    }
    code.push_str(
        "pub fn described(name: &str, body: &[u8]) -> Option<String> {\nlet mut out = String::new();\nmatch name {\n",
    );
    for (name, fields, group) in messages {
        let module = snake(&name);
        writeln!(code, "\"{name}\" => {{ let (message, _rest) = generated::{module}::{name}::parse_prefix(body)?;")
            .expect("a string takes any text");
        for (field, kind) in fields {
            writeln!(code, "{}", push("", &format!("message.{}", snake(&field)), &snake(&field), &kind))
                .expect("a string takes any text");
        }
        if let Some((group, fields)) = group {
            writeln!(
                code,
                "for (index, entry) in generated::{module}::parse_{}(_rest)?.iter().enumerate() {{",
                snake(&group)
            )
            .expect("a string takes any text");
            for (field, kind) in fields {
                writeln!(
                    code,
                    "{}",
                    push("[{index}].", &format!("entry.body.{}", snake(&field)), &snake(&field), &kind)
                )
                .expect("a string takes any text");
            }
            code.push_str("}\n");
        }
        code.push_str("}\n");
    }
    code.push_str("_ => return None,\n}\nSome(out)\n}\n");
    code
}

/// Code that appends one field.
fn push(prefix: &str, place: &str, field: &str, kind: &str) -> String {
    let value = match kind {
        "clientOrderId" | "longClientOrderId" | "symbol" | "compId" | "venueTag" | "text" => format!("text(&{place})"),
        _ => format!("{place}.shown()"),
    };
    format!("out.push_str(&format!(\" {prefix}{field}={{}}\", {value}));")
}
