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
}
