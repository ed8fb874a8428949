import CommandKit
import ShellSession

extension GeneralCommands {
    static var basename: Command {
        let description = CommandDescription(
            "basename", "a path's last name", usage: "[-a] [-s SUFFIX] PATH [SUFFIX]",
            flags: [
                .init("multiple", "a", "of several paths"),
                .init("suffix", "s", .text("SUFFIX"), "without this at its end"),
                .init("zero", "z", "ends in NUL"),
            ],
            arguments: .init([.file], 1...1000), examples: ["basename /var/log/app.log .log"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            var paths = arguments.arguments
            var suffix = arguments.text("suffix")
            if suffix == nil, !arguments.has("multiple") {
                guard paths.count <= 2 else {
                    throw UsageError("basename: '\(paths[2])' is one word too many; -a takes several")
                }
                if paths.count == 2 { suffix = paths.removeLast() }
            }
            let end = arguments.has("zero") ? "\0" : "\n"
            for path in paths {
                var name = path.split(separator: "/").last.map(String.init) ?? (path.isEmpty ? "" : "/")
                if let suffix, name != suffix, name.hasSuffix(suffix) { name.removeLast(suffix.count) }
                invocation.process.output.write(name + end)
            }
            return .success
        }
    }

    static var dirname: Command {
        let description = CommandDescription(
            "dirname", "a path without its last name", usage: "PATH…", flags: [.init("zero", "z", "ends in NUL")],
            arguments: .init([.file], 1...1000), examples: ["dirname /var/log/app.log"], group: .files)
        return Command(description) { invocation in
            let end = invocation.arguments.has("zero") ? "\0" : "\n"
            for path in invocation.arguments.arguments {
                invocation.process.output.write(directory(of: path) + end)
            }
            return .success
        }
    }

    private static func directory(of path: String) -> String {
        var rest = path[...]
        while rest.count > 1, rest.hasSuffix("/") { rest.removeLast() }
        guard let slash = rest.lastIndex(of: "/") else { return "." }
        rest = rest[..<slash]
        while rest.count > 1, rest.hasSuffix("/") { rest.removeLast() }
        return rest.isEmpty ? "/" : String(rest)
    }
}
