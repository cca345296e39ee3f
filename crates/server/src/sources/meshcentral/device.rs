//! What MeshCentral says of devices.

use std::collections::BTreeMap;

use debrief_domain::Category;
use debrief_domain::limits::{CATEGORY_ROWS_MAX, NAME_CHARS_MAX};
use serde_json::Value;

use super::grouping::{Device, Devices};

/// Reads the answers to `nodes` and `meshes`.
pub(super) fn read(nodes: &Value, meshes: &Value) -> Devices {
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let meshes = meshes.get("meshes").and_then(Value::as_array);
    let names: BTreeMap<String, String> = meshes
        .into_iter()
        .flatten()
        .filter_map(|mesh| Some((text(mesh, "_id")?, text(mesh, "name")?)))
        .collect();
    let mut devices = Devices::new();
    let groups = nodes.get("nodes").and_then(Value::as_object);
    for (mesh, nodes) in groups.into_iter().flatten() {
        for node in nodes.as_array().into_iter().flatten() {
            let Some(id) = text(node, "_id") else {
                continue;
            };
            let device = Device {
                name: text(node, "name").unwrap_or_default(),
                hostname: text(node, "rname").or_else(|| text(node, "host")),
                os: text(node, "osdesc"),
                ip: text(node, "ip"),
                group: names.get(mesh).map(|name| (mesh.clone(), name.clone())),
            };
            devices.insert(id, device);
        }
    }
    devices
}

/// The tables of a device, as its answers to `getsysinfo` and `getnetworkinfo` have them.
pub(super) fn tables(device: Option<&Device>, system: &Value, network: &Value) -> Vec<Category> {
    let mut tables = Vec::new();
    if let Some(device) = device {
        let row = |name: &str, value: Option<&str>| Some((name.to_owned(), value?.to_owned()));
        let group = device.group.as_ref().map(|(_, name)| name.as_str());
        let general = [
            row("Name", Some(&device.name)),
            row("Computer Name", device.hostname.as_deref()),
            row("IP Address", device.ip.as_deref()),
            row("Device Group", group),
        ];
        tables.push(pairs("General", general.into_iter().flatten()));
        let system = row("Version", device.os.as_deref());
        tables.push(pairs("Operating System", system.into_iter()));
    }
    let identifiers = system
        .pointer("/hardware/identifiers")
        .and_then(Value::as_object);
    let identifiers = identifiers.into_iter().flatten();
    let identifiers = identifiers.filter_map(|(name, value)| Some((name.clone(), shown(value)?)));
    tables.push(pairs("Hardware", identifiers));
    tables.push(interfaces(network));
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn interfaces(network: &Value) -> Category {
    let mut rows = Vec::new();
    let interfaces = network.get("netif2").and_then(Value::as_object);
    for (name, addresses) in interfaces.into_iter().flatten() {
        for address in addresses.as_array().into_iter().flatten() {
            let cell = |field: &str| address.get(field).and_then(shown).unwrap_or_default();
            rows.push(vec![
                cut(name),
                cell("mac"),
                cell("address"),
                cell("netmask"),
                cell("status"),
            ]);
        }
    }
    rows.truncate(CATEGORY_ROWS_MAX);
    Category {
        name: "Networking".into(),
        fields: ["Interface", "MAC", "Address", "Mask", "Status"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    }
}

fn pairs(name: &str, rows: impl Iterator<Item = (String, String)>) -> Category {
    let rows = rows.filter(|(_, value)| !value.is_empty());
    Category {
        name: name.into(),
        fields: vec!["Name".into(), "Value".into()],
        rows: rows
            .take(CATEGORY_ROWS_MAX)
            .map(|(name, value)| vec![cut(&name), cut(&value)])
            .collect(),
    }
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(cut(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(word) => Some(word.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}
