/// Words of bash that people paste and that mean nothing here. A script with one of them is refused before any of it
/// runs: half a script is worse than none.
enum Unsupported {
    /// By name, with what to write instead.
    private static let commands: [String: String] = [
        ".": "put the lines here, or: sdlab run FILE",
        "bind": "", "builtin": "leave it out",
        "caller": "", "command": "leave it out", "compgen": "", "complete": "", "coproc": "end the command in &",
        "declare": "write name=value", "dirs": "", "disown": "jobs go on anyway", "enable": "", "eval": "",
        "exec": "redirect the commands themselves, or { …; } as a whole", "fc": "", "getopts": "use while and case",
        "hash": "", "let": "write ((…))", "logout": "write exit", "mapfile": "use while read", "popd": "use cd",
        "pushd": "use cd", "readarray": "use while read", "readonly": "write name=value",
        "select": "use read and case", "shopt": "", "source": "put the lines here, or: sdlab run FILE",
        "suspend": "press Ctrl-Z", "trap": "", "type": "use help NAME", "typeset": "write name=value", "ulimit": "",
        "umask": "",
    ]

    /// What to say of a command's name; nil if it is fine.
    static func complaint(_ name: String) -> String? {
        commands[name].map { remedy in
            "'\(name)' is bash's and not known here" + (remedy.isEmpty ? "" : "; \(remedy)")
        }
    }
}
