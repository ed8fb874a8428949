import CommandKit
import CommandServices
import KernelPages
import KernelStructures
import ShellSession

extension GeneralCommands {
    /// `export run.html`; everything else is the shell's own `export`.
    static var export: Command {
        let description = CommandDescription(
            "export", "saves what happened as a page for browsers; or sets variables",
            usage: "FILE.html | [NAME[=VALUE]…]",
            arguments: .init([.hostFile], 0...100_000, isRaw: true),
            examples: ["export run.html", "export PORT=8080"], group: .session,
            details: """
                The page has the journal, lanes, and who talks to whom, back and forth in time.
                It is one file, the host's: it needs no server and no network, is light or dark
                as its reader has it, and can be used by keyboard. It stays below
                \(byteCountText(RunExport.limitBytes)): where there is more to tell, messages are thinned
                first, then lines, evenly, and the page says how many.
                """)
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            guard words.count == 1, words[0].lowercased().hasSuffix(".html"), !words[0].contains("=") else {
                return try Builtins.export.body(invocation)
            }
            guard let host = invocation.session.hostFiles else {
                throw CommandFailure("the host's files are not touched here")
            }
            let export = RunExport(invocation.session)
            let bytes = Array(RunPage.make(title: "A session of sdlab", export.json).file.utf8)
            try host.write(bytes, to: words[0])
            let left = export.leftOut.isEmpty ? "" : "; " + export.leftOut
            invocation.session.notice(
                "\(words[0]): \(counted(export.count, "event")), \(byteCountText(bytes.count))\(left)")
            return .success
        }
    }
}
