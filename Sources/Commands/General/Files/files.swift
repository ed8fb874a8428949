import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var ls: Command {
        let description = CommandDescription(
            "ls", "the lab's files", usage: "[-l] [-1] [-a] [PATH…]",
            flags: [
                .init("long", "l", "with sizes"), .init("", "1", "one a line (always)"),
                .init("all", "a", "those that begin with a dot, too"),
            ],
            arguments: .init([.file], 0...1000), examples: ["ls", "ls -l /var/log"], group: .files)
        return Command(description) { invocation in
            let paths = invocation.arguments.arguments.isEmpty ? ["."] : invocation.arguments.arguments
            var text = ""
            for (index, path) in paths.enumerated() {
                let entries = try invocation.session.files.reading { try $0.list(path) }
                if paths.count > 1, invocation.session.files.isDirectory(path) {
                    text += (index > 0 ? "\n" : "") + "\(path):\n"
                }
                for (name, attributes) in entries where !name.hasPrefix(".") || invocation.arguments.has("all") {
                    let size = attributes.isDirectory ? "-" : String(attributes.size)
                    let prefix = invocation.arguments.has("long") ? size.leftPadded(to: 10) + "  " : ""
                    text += prefix + name + (attributes.isDirectory ? "/" : "") + "\n"
                }
            }
            invocation.process.output.write(text)
            return .success
        }
    }

    static var cd: Command {
        let description = CommandDescription(
            "cd", "changes the lab's working directory", usage: "[-L|-P] [DIRECTORY|-]",
            flags: [
                .init("", "L", "as links have it (there are none)"), .init("", "P", "as the disk has it (always)"),
            ],
            arguments: .init([.file], 0...1000),
            examples: ["cd /var/log"], group: .files, details: "With - to the one before, whose name it writes.")
        return Command(description) { invocation in
            let files = invocation.session.files
            guard invocation.arguments.arguments.count <= 1 else { throw CommandFailure("too many arguments") }
            var directory = invocation.arguments.arguments.first ?? "/"
            let goesBack = directory == "-"
            if directory.isEmpty { return .success }
            if goesBack {
                guard let previous = files.previousDirectory else {
                    throw CommandFailure("there is no directory before this one")
                }
                directory = previous
            }
            try files.reading { try $0.changeDirectory(directory) }
            if goesBack { invocation.process.print(files.directory) }
            return .success
        }
    }

    static var pwd: Command {
        Command(CommandDescription("pwd", "the lab's working directory", examples: ["pwd"], group: .files)) {
            invocation in
            invocation.process.print(invocation.session.files.directory)
            return .success
        }
    }

    static var mkdir: Command {
        let description = CommandDescription(
            "mkdir", "makes directories of the lab, with those that lead to them", usage: "[-p] DIRECTORY…",
            flags: [.init("parents", "p", "with those that lead to it (always)")], arguments: .init([.file], 1...1000),
            examples: ["mkdir -p /var/log/myapp"], group: .files)
        return Command(description) { invocation in
            for path in invocation.arguments.arguments {
                try invocation.session.files.reading { try $0.makeDirectory(path) }
            }
            return .success
        }
    }

    /// Where each of several files goes: to the last word, or under its own name into the directory that this names.
    ///
    /// - Parameter verb: what is to be done with them.
    static func places(
        _ words: [String], in files: LabFiles, to verb: String
    ) throws -> [(source: String, place: String)] {
        let target = words[words.count - 1]
        let intoDirectory = files.isDirectory(target)
        guard words.count == 2 || intoDirectory else {
            throw CommandFailure("\(target): not a directory, and there are several files to \(verb)")
        }
        return words.dropLast().map { source in
            let name = source.split(separator: "/").last.map(String.init) ?? source
            return (source, intoDirectory ? target + "/" + name : target)
        }
    }

    static var mv: Command {
        let description = CommandDescription(
            "mv", "gives files of the lab other names", usage: "[-f] SOURCE… TARGET",
            flags: [.init("force", "f", "over a file that is there (always)")], arguments: .init([.file], 2...1000),
            examples: ["mv lb.yaml lb.old.yaml"], group: .files)
        return Command(description) { invocation in
            let files = invocation.session.files
            for (source, place) in try places(invocation.arguments.arguments, in: files, to: "move") {
                if files.exists(source), files.absolute(source) == files.absolute(place) {
                    throw CommandFailure("\(source) and \(place) are the same file")
                }
                try files.reading { try $0.move(source, to: place) }
            }
            return .success
        }
    }

    private static func hostFiles(_ invocation: Invocation) throws -> any HostFiles {
        guard let hostFiles = invocation.session.hostFiles else {
            throw CommandFailure("the host's files are not touched here; sdlab run --allow-host lets scripts")
        }
        return hostFiles
    }

    static var put: Command {
        let description = CommandDescription(
            "put", "copies a file of the host into the lab", usage: "HOSTFILE [LABFILE]",
            arguments: .init([.hostFile, .file], 1...2), examples: ["put ~/lb.yaml lb.yaml"], group: .files)
        return Command(description) { invocation in
            let source = invocation.arguments.arguments[0]
            let name = source.split(separator: "/").last.map(String.init) ?? source
            var target = invocation.arguments.arguments.dropFirst().first ?? name
            if invocation.session.files.isDirectory(target) { target += "/" + name }
            let bytes = try hostFiles(invocation).read(source)
            try invocation.session.files.reading { try $0.write(bytes, to: target) }
            return .success
        }
    }

    static var get: Command {
        let description = CommandDescription(
            "get", "copies a file of the lab to the host", usage: "LABFILE [HOSTFILE]",
            arguments: .init([.file, .hostFile], 1...2), examples: ["get out.json /tmp/out.json"], group: .files)
        return Command(description) { invocation in
            let source = invocation.arguments.arguments[0]
            let bytes = try invocation.session.files.reading { try $0.read(source) }
            let name = source.split(separator: "/").last.map(String.init) ?? source
            try hostFiles(invocation).write(bytes, to: invocation.arguments.arguments.dropFirst().first ?? name)
            return .success
        }
    }
}

extension LabFiles {
    /// Runs `body` and turns what is wrong with a file into a command's failure.
    func reading<R>(_ body: (LabFiles) throws -> R) throws -> R {
        do {
            return try body(self)
        } catch let error as LabFileError {
            throw CommandFailure(error.description)
        }
    }
}
