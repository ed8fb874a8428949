import CommandKit
import KernelStructures

/// `umask` and `ulimit`: what scripts say at their beginning.
extension Builtins {
    static var limits: [Command] { [umask, ulimit] }

    // MARK: umask

    private static var umask: Command {
        let description = describe(
            "umask", "which permissions new files do not have", usage: "[-S] [-p] [MODE]",
            examples: ["umask", "umask 077", "umask -S u=rwx,g=rx,o="],
            details: """
                Files of the lab have no modes, and no owners: it is remembered, and shown, and
                that is all. A subshell has its own.
                """)
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            var words = invocation.arguments.arguments[...]
            let letters = try flags(of: "umask", from: &words, known: ["S", "p"])
            if let word = words.first { scope.fileMask = try mask(word, from: scope.fileMask) }
            let prefix = letters.contains("p") ? "umask " + (letters.contains("S") ? "-S " : "") : ""
            let octal = String(scope.fileMask, radix: 8).leftPadded(to: 4, with: "0")
            if letters.contains("S") || words.isEmpty {
                invocation.process.print(prefix + (letters.contains("S") ? symbols(scope.fileMask) : octal))
            }
            return .success
        }
    }

    /// `u=rwx,g=rx,o=`: what is allowed.
    private static func symbols(_ mask: Int) -> String {
        let groups = [("u", 6), ("g", 3), ("o", 0)].map { name, shift in
            let allowed = ~(mask >> shift)
            return name + "=" + (allowed & 4 != 0 ? "r" : "") + (allowed & 2 != 0 ? "w" : "")
                + (allowed & 1 != 0 ? "x" : "")
        }
        return groups.joined(separator: ",")
    }

    /// `077`, or permissions as `chmod` has them: `g-w`, `a+r`, `u=rwx,o=` (POSIX, the description of `umask`).
    private static func mask(_ word: String, from old: Int) throws -> Int {
        if word.first?.isNumber ?? false {
            guard word.utf8.count <= 4, let number = Int(word, radix: 8), number <= 0o777 else {
                throw CommandFailure("\(word): octal number out of range")
            }
            return number
        }
        var mask = old
        for clause in word.split(separator: ",", omittingEmptySubsequences: false) {
            let who = clause.prefix { "ugoa".contains($0) }
            var rest = clause.dropFirst(who.count)
            guard let sign = rest.popFirst(), "+-=".contains(sign), rest.allSatisfy({ "rwxX".contains($0) }) else {
                throw CommandFailure("'\(word)' is not a mode such as 022, g-w or u=rwx,g=rx,o=")
            }
            let bits =
                (rest.contains("r") ? 4 : 0) | (rest.contains("w") ? 2 : 0)
                | (rest.contains { $0 == "x" || $0 == "X" } ? 1 : 0)
            for (name, shift) in [("u", 6), ("g", 3), ("o", 0)] {
                guard who.isEmpty || who.contains("a") || who.contains(name) else { continue }
                switch sign {
                case "+": mask &= ~(bits << shift)
                case "-": mask |= bits << shift
                default: mask = mask & ~(7 << shift) | (~bits & 7) << shift
                }
            }
        }
        return mask
    }

    // MARK: ulimit

    /// As bash lists them; `nil` is no limit. What bounds the lab itself says its own pages.
    private static var bounds: [(letter: Character, name: String, unit: String, value: Int?)] {
        [
            ("R", "real-time non-blocking time", "microseconds, ", nil), ("c", "core file size", "blocks, ", 0),
            ("d", "data seg size", "kbytes, ", nil), ("e", "scheduling priority", "", 0),
            ("f", "file size", "blocks, ", nil), ("i", "pending signals", "", 1024),
            ("l", "max locked memory", "kbytes, ", 8192), ("m", "max memory size", "kbytes, ", nil),
            ("n", "open files", "", Descriptor.numbers.count), ("p", "pipe size", "512 bytes, ", Pipe.capacity / 512),
            ("q", "POSIX message queues", "bytes, ", 819_200), ("r", "real-time priority", "", 0),
            ("s", "stack size", "kbytes, ", 8192), ("t", "cpu time", "seconds, ", nil),
            ("u", "max user processes", "", JobTable.limit), ("v", "virtual memory", "kbytes, ", nil),
            ("x", "file locks", "", nil),
        ]
    }

    private static var ulimit: Command {
        let description = describe(
            "ulimit", "how much of something there may be", usage: "[-S|-H] [-a|-n|-u|…] [LIMIT]",
            examples: ["ulimit -n", "ulimit -a"],
            details: """
                -n is the number of descriptors of a script, -u that of jobs. Limits are the
                lab's own: they cannot be set, unless to what they are.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            let letters = try flags(of: "ulimit", from: &words, known: ["S", "H", "a"] + bounds.map(\.letter))
            let chosen =
                letters.contains("a") ? bounds : bounds.filter { letters.contains($0.letter) }
            func text(_ value: Int?) -> String { value.map(String.init) ?? "unlimited" }
            if let wanted = words.first {
                let bound = chosen.first ?? bounds.first { $0.letter == "f" }!
                guard wanted == text(bound.value) || wanted == "hard" || wanted == "soft" else {
                    throw CommandFailure(
                        "\(bound.name): limits of the lab cannot be set; -\(bound.letter) is \(text(bound.value))")
                }
                return .success
            }
            if chosen.count <= 1, !letters.contains("a") {
                invocation.process.print(text(chosen.isEmpty ? nil : chosen[0].value))
                return .success
            }
            for bound in chosen {
                let unit = "(\(bound.unit)-\(bound.letter))"
                let space = String(repeating: " ", count: max(1, 43 - bound.name.count - unit.count))
                invocation.process.print("\(bound.name)\(space)\(unit) \(text(bound.value))")
            }
            return .success
        }
    }
}
