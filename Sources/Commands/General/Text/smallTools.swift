import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var touch: Command {
        let description = CommandDescription(
            "touch", "makes empty files of the lab, where there are none", usage: "[-c] FILE…",
            flags: [.init("no-create", "c", "only those that are there")], arguments: .init([.file], 1...1000),
            examples: ["touch app.log"], group: .files, details: "Files have no times here.")
        return Command(description) { invocation in
            let files = invocation.session.files
            for path in invocation.arguments.arguments
            where !files.exists(path) && !invocation.arguments.has("no-create") {
                try files.reading { try $0.openForWriting(path, appends: true).close() }
            }
            return .success
        }
    }

    static var cmp: Command {
        let description = CommandDescription(
            "cmp", "whether two files are the same", usage: "[-s] FILE FILE",
            flags: [.init("quiet", "s", "only the status")], arguments: .init([.file], 2...2),
            examples: ["cmp -s a.json b.json && echo same"], group: .files)
        return Command(description) { invocation in
            let isQuiet = invocation.arguments.has("quiet")
            let names = invocation.arguments.arguments
            return .running(
                WholeInput(invocation.process, files: names) { tool, sources in
                    if tool.isIncomplete { return 2 }
                    let (a, b) = (sources[0].bytes, sources[1].bytes)
                    let place = zip(a, b).enumerated().first { $0.element.0 != $0.element.1 }?.offset
                    if place == nil, a.count == b.count { return 0 }
                    if isQuiet { return 1 }
                    if let place {
                        let line = a[..<place].reduce(1) { $0 + ($1 == 10 ? 1 : 0) }
                        tool.process.print("\(names[0]) \(names[1]) differ: byte \(place + 1), line \(line)")
                    } else {
                        let short = a.count < b.count ? 0 : 1
                        tool.process.complain("EOF on \(names[short]) after byte \(min(a.count, b.count))")
                    }
                    return 1
                })
        }
    }
}
