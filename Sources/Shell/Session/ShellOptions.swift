extension VariableScope {
    /// What `set` and `shopt` turn on and off.
    struct Options {
        /// `-e`: a command that fails, and is no condition, ends the shell. nil while nobody has said so, or not so:
        /// then it depends on whether it is a script.
        var endsAtFailure: Bool?
        /// `-u`: a variable without a value is an error. Here from the beginning.
        var refusesUnset = true
        /// Somebody has said `-u`: then such an error ends the shell, as in bash.
        var endsAtUnset = false
        /// `-E`: functions and subshells have the trap of ERR, too.
        var handsErrorTrapOn = false
        /// `-T`: functions and subshells have those of DEBUG and RETURN, too.
        var handsDebugTrapOn = false
        /// `-o pipefail`: a pipeline fails with the last of its commands that does.
        var pipelinesFail = false
        /// `-x`: each command is shown before it runs.
        var traces = false
        /// `-f`: patterns find no files.
        var findsNoFiles = false
        /// `-C`: `>` writes over no file.
        var keepsFiles = false
        /// `-a`: what is assigned is exported.
        var exportsAll = false
        /// `shopt -s`
        var shell: Set<String> = []
    }
}

extension VariableScope.Options {
    /// Names of `set -o` with their letters, as bash lists them; those that are always so, or never, have no key path.
    static var named: [(name: String, letter: Character?, isOn: Bool, key: WritableKeyPath<Self, Bool>?)] {
        [
            ("allexport", "a", false, \.exportsAll), ("braceexpand", "B", true, nil), ("emacs", nil, false, nil),
            ("errexit", "e", false, nil), ("errtrace", "E", false, \.handsErrorTrapOn),
            ("functrace", "T", false, \.handsDebugTrapOn),
            ("hashall", "h", true, nil), ("histexpand", "H", false, nil), ("history", nil, false, nil),
            ("ignoreeof", nil, false, nil), ("interactive-comments", nil, true, nil), ("keyword", "k", false, nil),
            ("monitor", "m", false, nil), ("noclobber", "C", false, \.keepsFiles), ("noexec", "n", false, nil),
            ("noglob", "f", false, \.findsNoFiles), ("nolog", nil, false, nil), ("notify", "b", false, nil),
            ("nounset", "u", false, \.endsAtUnset), ("onecmd", "t", false, nil), ("physical", "P", false, nil),
            ("pipefail", nil, false, \.pipelinesFail), ("posix", nil, false, nil), ("privileged", "p", false, nil),
            ("verbose", "v", false, nil), ("vi", nil, false, nil), ("xtrace", "x", false, \.traces),
        ]
    }

    /// `-o NAME`
    func holds(_ name: String) -> Bool {
        if name == "errexit" { return endsAtFailure ?? false }
        if name == "nounset" { return refusesUnset }
        guard let found = Self.named.first(where: { $0.name == name }) else { return false }
        return found.key.map { self[keyPath: $0] } ?? found.isOn
    }

    /// `$-`
    var letters: String {
        let order = "aefhuxBCET"
        return order.filter { letter in
            guard let found = Self.named.first(where: { $0.letter == letter }) else { return false }
            return found.name == "errexit"
                ? endsAtFailure ?? false : found.key.map { self[keyPath: $0] } ?? found.isOn
        }
    }

    /// Names of `shopt` that do something here.
    static let shellNames: Set<String> = [
        "nullglob", "failglob", "dotglob", "nocaseglob", "nocasematch", "globstar",
    ]
    /// Those that are as they are: what they mean is so in any case, or concerns a keyboard. `true`: on.
    static let fixedShellNames: [String: Bool] = [
        "extglob": true, "expand_aliases": true, "sourcepath": true, "interactive_comments": true,
        "globskipdots": true, "globasciiranges": true, "extquote": true, "promptvars": true, "cmdhist": true,
        "checkwinsize": true, "histappend": false, "huponexit": false, "autocd": false, "cdspell": false,
        "checkjobs": false, "dirspell": false, "direxpand": false, "lithist": false, "histverify": false,
        "histreedit": false, "progcomp": true, "hostcomplete": true, "no_empty_cmd_completion": false,
        "login_shell": false, "mailwarn": false, "checkhash": false, "gnu_errfmt": false,
        "inherit_errexit": false, "lastpipe": false, "execfail": false, "extdebug": false, "xpg_echo": false,
        "localvar_inherit": false, "localvar_unset": false, "patsub_replacement": true, "cdable_vars": false,
        "shift_verbose": false, "complete_fullquote": true, "force_fignore": true,
    ]
    /// Of these, turning one over can be had: nobody who scripts would notice.
    static let harmlessShellNames: Set<String> = [
        "extglob", "expand_aliases", "sourcepath", "interactive_comments", "histappend", "huponexit", "cmdhist",
        "checkwinsize", "cdspell", "checkjobs", "dirspell", "direxpand", "lithist", "histverify", "histreedit",
        "progcomp", "hostcomplete", "no_empty_cmd_completion", "mailwarn", "checkhash", "gnu_errfmt", "promptvars",
        "extquote", "autocd", "globasciiranges", "globskipdots", "patsub_replacement",
    ]
}
