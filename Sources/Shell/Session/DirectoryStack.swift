import CommandKit
import KernelStructures
import ShellLanguage

/// `pushd`, `popd` and `dirs`.
extension Builtins {
    static var directories: [Command] { [pushd, popd, dirs] }

    private static let stackLimit = 1000

    private static func text(_ scope: VariableScope, _ session: Session) -> String {
        ([session.files.directory] + scope.directoryStack.reversed()).joined(separator: " ")
    }

    private static func go(_ path: String, _ session: Session) throws {
        do throws(LabFileError) { try session.files.changeDirectory(path) } catch {
            throw CommandFailure(error.description)
        }
    }

    private static var pushd: Command {
        let description = describe(
            "pushd", "changes the directory, and remembers the one before", usage: "[DIRECTORY]",
            examples: ["mkdir -p d; pushd d; popd"], details: "Without a directory it goes to the newest, and back.")
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            let here = invocation.session.files.directory
            let words = invocation.arguments.arguments
            guard words.count <= 1, !(words.first ?? "").hasPrefix("+"), !(words.first ?? "").hasPrefix("-") else {
                throw UsageError("pushd: one directory, and no numbers, here")
            }
            if let word = words.first {
                guard scope.directoryStack.count < stackLimit else {
                    throw CommandFailure("no more than \(stackLimit) directories")
                }
                try go(word, invocation.session)
            } else {
                guard let newest = scope.directoryStack.last else { throw CommandFailure("no other directory") }
                try go(newest, invocation.session)
                scope.directoryStack.removeLast()
            }
            scope.directoryStack.append(here)
            invocation.process.print(text(scope, invocation.session))
            return .success
        }
    }

    private static var popd: Command {
        let description = describe(
            "popd", "goes back to where pushd was typed", usage: "", examples: ["pushd /; popd"])
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            guard invocation.arguments.arguments.isEmpty else { throw UsageError("popd: no numbers here") }
            guard let newest = scope.directoryStack.popLast() else { throw CommandFailure("directory stack empty") }
            try go(newest, invocation.session)
            invocation.process.print(text(scope, invocation.session))
            return .success
        }
    }

    private static var dirs: Command {
        let description = describe(
            "dirs", "what pushd remembers, the newest first", usage: "[-v] [-p] [-c]", examples: ["dirs -v"],
            details: "-v with numbers, -p a line each, -c forgets them.")
        return Command(description) { invocation in
            let scope = try shell(invocation).scope
            let all = [invocation.session.files.directory] + scope.directoryStack.reversed()
            switch invocation.arguments.arguments.first {
            case nil: invocation.process.print(all.joined(separator: " "))
            case "-p": for one in all { invocation.process.print(one) }
            case "-v": for (index, one) in all.enumerated() { invocation.process.print(" \(index)  \(one)") }
            case "-c": scope.directoryStack = []
            case let word?: throw UsageError("dirs: \(word) is not known here; there are -v, -p and -c")
            }
            return .success
        }
    }
}
