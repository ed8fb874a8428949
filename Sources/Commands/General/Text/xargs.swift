import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var xargs: Command {
        let description = CommandDescription(
            "xargs", "runs a command with words from what it is given", usage: "[FLAGS] [COMMAND [WORD…]]",
            arguments: .init([.command, .text], 0...100_000, isRaw: true),
            examples: ["seq 3 | xargs -n 1 echo", "cat ports.txt | xargs -I {} curl -s http://localhost:{}/"],
            group: .files,
            details: """
                -n N  so many words a time         -L N  so many lines a time
                -I R  each line in the place of R  -0    words end in NUL, quotes mean nothing
                -d C  words end in C               -r    nothing where there are no words
                -t    says each command            -a F  words from a file
                -P N  one after another all the same: commands take lab time, not the machine's
                The status is 123 if a command failed, 124 if one ended with 255.
                """)
        return Command(description) { invocation in
            let options = try XargsOptions(invocation.arguments.arguments)
            return .running(
                WholeInputWords(invocation.process, options))
        }
    }

    /// Reads all words, then runs the commands one by one.
    private final class WholeInputWords: Program {
        private let process: Process
        private let options: XargsOptions
        private var input: [UInt8] = []
        private var commands: ArraySlice<[String]> = []
        private var status = 0

        init(_ process: Process, _ options: XargsOptions) {
            self.process = process
            self.options = options
        }

        func start() {
            if let file = options.file {
                do throws(LabFileError) { input = try process.session.files.read(file) } catch {
                    return process.fail("\(error)")
                }
                return begin()
            }
            process.read(
                onBytes: { [weak self] bytes in
                    guard let self, process.isRunning else { return }
                    input += bytes
                    if input.count > XargsOptions.limitBytes {
                        process.fail("more than \(byteCountText(XargsOptions.limitBytes)) of words")
                    }
                }, onEnd: { [weak self] in self?.begin() })
        }

        private func begin() {
            guard process.isRunning else { return }
            do {
                commands = try options.commands(input)[...]
                next()
            } catch {
                process.fail("\(error)")
            }
        }

        private func next() {
            guard process.isRunning else { return }
            guard let command = commands.popFirst() else { return process.exit(status) }
            if options.says { process.errorOutput.write(command.joined(separator: " ") + "\n") }
            let input: Process.CommandInput = options.file == nil ? .nothing : .own
            let run = process.runCommand(command, input: input) { [weak self] in self?.ended($0) }
            if run == nil { process.exit(125) }
        }

        private func ended(_ status: Int) {
            switch status {
            case 0: break
            case 126, 127: return process.exit(status)
            case 255:
                process.complain("\(options.command[0]): exited with status 255; aborting")
                return process.exit(124)
            case 129...: return process.exit(125)
            default: self.status = 123
            }
            next()
        }
    }
}

private struct XargsOptions {
    var command = ["echo"]
    var wordLimit = Int.max
    var lineLimit: Int?
    var replaced: String?
    var delimiter: UInt8?
    var skipsNothing = false
    var says = false
    var file: String?

    static let limitBytes = 16 << 20
    /// As much as a command line holds.
    private static let commandBytes = 128 << 10

    init(_ words: [String]) throws {
        var words = words[...]
        while let word = words.first, word.hasPrefix("-"), word.count > 1 {
            words.removeFirst()
            if word == "--" { break }
            func value() throws -> String {
                if word.hasPrefix("--"), let place = word.firstIndex(of: "=") {
                    return String(word[word.index(after: place)...])
                }
                if !word.hasPrefix("--"), word.count > 2 { return String(word.dropFirst(2)) }
                guard let next = words.popFirst() else { throw UsageError("xargs: \(word) needs a value") }
                return next
            }
            func number() throws -> Int {
                let text = try value()
                guard let number = Int(text), (1...1_000_000).contains(number) else {
                    throw UsageError("xargs: \(word): '\(text)' is not a number of 1 or more")
                }
                return number
            }
            let name = word.hasPrefix("--") ? String(word.prefix { $0 != "=" }) : String(word.prefix(2))
            switch name {
            case "-n", "--max-args": wordLimit = try number()
            case "-L", "--max-lines": lineLimit = try number()
            case "-l": lineLimit = 1
            case "-I", "--replace": replaced = try value()
            case "-i": replaced = "{}"
            case "-P", "--max-procs", "-s", "--max-chars": _ = try value()
            case "-a", "--arg-file": file = try value()
            case "-d", "--delimiter":
                let text = try value()
                let bytes = ShellText.escaped(text)
                guard bytes.count == 1 else { throw UsageError("xargs: -d: '\(text)' is not one character") }
                delimiter = bytes[0]
            case "-0", "--null", "-r", "--no-run-if-empty", "-t", "--verbose", "-x", "--exit":
                // Switches may stand together: -0r.
                for letter in word.hasPrefix("--") ? [word.dropFirst(2).first!] : Array(word.dropFirst()) {
                    switch letter {
                    case "0",
                        "n" where word == "--null" || letter == "0":
                        delimiter = 0
                    case "r": skipsNothing = true
                    case "n" where word.hasPrefix("--"): skipsNothing = true
                    case "t", "v": says = true
                    case "x", "e": break
                    default: throw UsageError("xargs: -\(letter) stands in a word of its own")
                    }
                }
            default: throw UsageError("xargs: unknown flag \(word); see help xargs")
            }
        }
        if !words.isEmpty { command = Array(words) }
    }

    /// The commands to run, in order.
    func commands(_ input: [UInt8]) throws -> [[String]] {
        let items = try items(input)
        if let replaced {
            return items.filter { !$0.text.isEmpty }.map { item in
                command.map { $0.replacing(replaced, with: item.text) }
            }
        }
        if items.isEmpty { return skipsNothing ? [] : [command] }
        var result: [[String]] = []
        var current: [String] = []
        var size = 0
        var lines = 0
        for item in items {
            let isFull = lineLimit.map { lines >= $0 } ?? false
            if !current.isEmpty, current.count >= wordLimit || isFull || size > Self.commandBytes {
                result.append(command + current)
                (current, size, lines) = ([], 0, 0)
            }
            current.append(item.text)
            size += item.text.utf8.count + 1
            if item.endsLine { lines += 1 }
        }
        if !current.isEmpty { result.append(command + current) }
        return result
    }

    /// The words: between blanks, with quotes and backslashes; with `-I` lines without the blanks before them.
    private func items(_ input: [UInt8]) throws -> [(text: String, endsLine: Bool)] {
        if let delimiter {
            var pieces = input.split(separator: delimiter, omittingEmptySubsequences: false)
            if pieces.last?.isEmpty ?? false { pieces.removeLast() }
            return pieces.map { (String(decoding: $0, as: UTF8.self), true) }
        }
        var result: [(String, Bool)] = []
        var current: [UInt8] = []
        var isWord = false
        var quote: UInt8?
        var isEscaped = false
        func end(line: Bool) {
            if isWord {
                result.append((String(decoding: current, as: UTF8.self), line))
            } else if line, !result.isEmpty {
                result[result.count - 1].1 = true
            }
            (current, isWord) = ([], false)
        }
        for byte in input {
            if isEscaped {
                current.append(byte)
                (isEscaped, isWord) = (false, true)
            } else if let open = quote {
                guard byte != 10 else {
                    throw CommandFailure("an open \(open == 34 ? "double" : "single") quote; -0 means none")
                }
                if byte == open { quote = nil } else { current.append(byte) }
            } else if byte == 34 || byte == 39 {
                (quote, isWord) = (byte, true)
            } else if byte == 92 {
                isEscaped = true
            } else if byte == 10 {
                end(line: true)
            } else if byte == 32 || byte == 9, replaced == nil || !isWord {
                if replaced == nil { end(line: false) }
            } else {
                current.append(byte)
                isWord = true
            }
        }
        if quote != nil { throw CommandFailure("an open quote; -0 means none") }
        end(line: true)
        return result
    }
}
