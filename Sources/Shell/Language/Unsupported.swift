/// Words of bash that people paste and that mean nothing here. A script with one of them is refused before any of it
/// runs: half a script is worse than none.
enum Unsupported {
    /// By name, with what to write instead.
    private static let commands: [String: String] = [
        "bind": "",
        "caller": "", "compgen": "", "complete": "", "coproc": "end the command in &",
        "disown": "jobs go on anyway", "enable": "", "fc": "", "logout": "write exit",
        "suspend": "press Ctrl-Z",
    ]

    /// What to say of a command's name; nil if it is fine.
    static func complaint(_ name: String) -> String? {
        commands[name].map { remedy in
            "'\(name)' is bash's and not known here" + (remedy.isEmpty ? "" : "; \(remedy)")
        }
    }
}
