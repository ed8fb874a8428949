import CommandKit
import ShellSession

/// `rm` and `rmdir`, as coreutils have them: what cannot be removed is said, and the rest goes all the same.
extension GeneralCommands {
    static var rm: Command {
        let description = CommandDescription(
            "rm", "removes files of the lab", usage: "[-r] [-f] [-d] [-v] PATH…",
            flags: [
                .init("recursive", "r", "directories with all that is in them"), .init("", "R", "the same"),
                .init("force", "f", "no complaint about what is not there"),
                .init("dir", "d", "directories that are empty, too"), .init("verbose", "v", "says what it removes"),
                .init("", "i", "asks before each (here nobody is asked, and nothing goes)"),
                .init("preserve-root", nil, "never all of the lab's files (so it is)"),
                .init("no-preserve-root", nil, "these, too"),
            ],
            arguments: .init([.file], 0...1000), examples: ["rm out.txt", "rm -r data"], group: .files,
            details: "The directories . and .. stay, and so does / with all that is in it.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            if arguments.arguments.isEmpty {
                if arguments.has("force") { return .success }
                throw UsageError("rm: something is missing; usage: rm [-r] [-f] PATH…")
            }
            if arguments.has("i") {
                throw CommandFailure("-i asks before each, and nobody is asked here; leave it out")
            }
            let removal = Removal(
                process: invocation.process,
                isRecursive: arguments.has("recursive") || arguments.has("R"), isForced: arguments.has("force"),
                takesEmpty: arguments.has("dir"), says: arguments.has("verbose"),
                keepsRoot: !arguments.has("no-preserve-root"))
            var status = 0
            for path in arguments.arguments where !removal.remove(path) { status = 1 }
            return .done(status)
        }
    }

    private struct Removal {
        let process: Process
        let isRecursive: Bool
        let isForced: Bool
        let takesEmpty: Bool
        let says: Bool
        let keepsRoot: Bool
        private static let depthLimit = 200

        private var files: LabFiles { process.session.files }

        private func refuse(_ text: String) -> Bool {
            process.complain(text)
            return false
        }

        /// - Returns: whether it is gone, or was not there and nobody minds.
        func remove(_ path: String) -> Bool {
            if path.isEmpty || !files.exists(path) {
                return isForced ? true : refuse("cannot remove '\(path)': No such file or directory")
            }
            guard files.isDirectory(path) else {
                if path.hasSuffix("/") { return refuse("cannot remove '\(path)': Not a directory") }
                return take(path, isDirectory: false)
            }
            guard isRecursive || takesEmpty else { return refuse("cannot remove '\(path)': Is a directory") }
            let last = path.split(separator: "/").last
            if last == "." || last == ".." {
                return refuse("refusing to remove '.' or '..' directory: skipping '\(path)'")
            }
            if files.absolute(path) == "/", keepsRoot {
                let what = path == "/" ? "'/'" : "'\(path)' (same as '/')"
                process.complain("it is dangerous to operate recursively on \(what)")
                return refuse("use --no-preserve-root to override this failsafe")
            }
            return isRecursive ? removeAll(path, depth: 0) : take(path, isDirectory: true)
        }

        private func removeAll(_ path: String, depth: Int) -> Bool {
            guard depth < Self.depthLimit else {
                return refuse("cannot remove '\(path)': directories more than \(Self.depthLimit) deep")
            }
            var isEmpty = true
            do throws(LabFileError) {
                for (name, attributes) in try files.list(path) {
                    let inner = LabFiles.path(of: name, in: path)
                    let isGone =
                        attributes.isDirectory ? removeAll(inner, depth: depth + 1) : take(inner, isDirectory: false)
                    if !isGone { isEmpty = false }
                }
            } catch { return refuse("cannot remove \(error)") }
            guard isEmpty else { return false }
            return files.absolute(path) == "/" ? true : take(path, isDirectory: true)
        }

        private func take(_ path: String, isDirectory: Bool) -> Bool {
            if isDirectory, (try? files.list(path))?.isEmpty == false {
                return refuse("cannot remove '\(path)': Directory not empty")
            }
            do throws(LabFileError) { try files.remove(path, recursively: false) } catch {
                return refuse("cannot remove \(error)")
            }
            if says { process.print("removed \(isDirectory ? "directory " : "")'\(path)'") }
            return true
        }
    }

    static var rmdir: Command {
        let description = CommandDescription(
            "rmdir", "removes directories of the lab that are empty", usage: "[-p] [-v] DIRECTORY…",
            flags: [
                .init("parents", "p", "and those that lead to it, where they are empty then"),
                .init("verbose", "v", "says what it removes"),
                .init("ignore-fail-on-non-empty", nil, "no complaint about those that are not"),
            ],
            arguments: .init([.file], 1...1000), examples: ["rmdir data", "rmdir -p a/b/c"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            var status = 0
            for path in arguments.arguments {
                var rest = path.split(separator: "/").map(String.init)
                var current = path
                while true {
                    guard removeEmpty(current, arguments, invocation) else {
                        status = 1
                        break
                    }
                    rest = Array(rest.dropLast())
                    guard arguments.has("parents"), !rest.isEmpty else { break }
                    current = (path.hasPrefix("/") ? "/" : "") + rest.joined(separator: "/")
                }
            }
            return .done(status)
        }
    }

    private static func removeEmpty(_ path: String, _ arguments: ParsedArguments, _ invocation: Invocation) -> Bool {
        let files = invocation.session.files
        func refuse(_ text: String) -> Bool {
            invocation.process.complain("failed to remove '\(path)': \(text)")
            return false
        }
        if arguments.has("verbose") { invocation.process.print("rmdir: removing directory, '\(path)'") }
        guard files.exists(path) else { return refuse("No such file or directory") }
        guard files.isDirectory(path) else { return refuse("Not a directory") }
        guard files.absolute(path) != "/" else { return refuse("Device or resource busy") }
        guard (try? files.list(path))?.isEmpty != false else {
            return arguments.has("ignore-fail-on-non-empty") ? true : refuse("Directory not empty")
        }
        do throws(LabFileError) { try files.remove(path, recursively: false) } catch { return refuse("\(error)") }
        return true
    }
}
