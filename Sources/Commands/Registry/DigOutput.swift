import KernelStructures
import KernelWire

/// An answer in dig's words (BIND 9.18), column for column.
struct DigOutput {
    let arguments: DigArguments
    let response: DNSMessage
    let byteCount: Int
    let server: Endpoint
    let wasTCP: Bool
    let took: LabDuration
    let now: LabTime

    var text: String {
        if arguments.isShort { return response.answers.map { "\($0.data)\n" }.joined() }
        var text = ""
        if arguments.showsComments { text += header }
        if arguments.showsQuestion { text += section("QUESTION", response.questions.map(Self.line)) }
        if arguments.showsAnswer { text += section("ANSWER", response.answers.map(Self.line)) }
        if arguments.showsAuthority { text += section("AUTHORITY", response.authority.map(Self.line)) }
        if arguments.showsAdditional { text += section("ADDITIONAL", response.additional.map(Self.line)) }
        if arguments.showsStatistics { text += statistics }
        return text
    }

    /// The lines before everything else, also where no answer comes.
    static func banner(_ arguments: DigArguments) -> String {
        guard arguments.showsCommand, !arguments.isShort else { return "" }
        return """

            ; <<>> DiG 9.18 (sdlab) <<>> \(arguments.words.joined(separator: " "))
            ; (1 server found)
            ;; global options: +cmd

            """
    }

    private var header: String {
        var flags = response.isResponse ? ["qr"] : []
        if response.isAuthoritative { flags.append("aa") }
        if response.isTruncated { flags.append("tc") }
        if response.wantsRecursion { flags.append("rd") }
        if response.offersRecursion { flags.append("ra") }
        if response.isAuthentic { flags.append("ad") }
        if response.skipsValidation { flags.append("cd") }
        let opcode = response.opcode == 0 ? "QUERY" : "RESERVED\(response.opcode)"
        let additional = response.additional.count + (response.edns == nil ? 0 : 1)
        var text = """
            ;; Got answer:
            ;; ->>HEADER<<- opcode: \(opcode), status: \(response.code), id: \(response.id)
            ;; flags: \(flags.joined(separator: " ")); QUERY: \(response.questions.count), \
            ANSWER: \(response.answers.count), AUTHORITY: \(response.authority.count), ADDITIONAL: \(additional)

            """
        if response.wantsRecursion, !response.offersRecursion {
            text += ";; WARNING: recursion requested but not available\n"
        }
        text += "\n"
        if let edns = response.edns {
            text += """
                ;; OPT PSEUDOSECTION:
                ; EDNS: version: \(edns.version), flags:\(edns.wantsDNSSEC ? " do" : ""); udp: \(edns.payloadBytes)

                """
        }
        return text
    }

    private func section(_ name: String, _ lines: [String]) -> String {
        guard !lines.isEmpty else { return "" }
        let title = arguments.showsComments ? ";; \(name) SECTION:\n" : ""
        return title + lines.map { $0 + "\n" }.joined() + (arguments.showsComments ? "\n" : "")
    }

    private var statistics: String {
        """
        ;; Query time: \(Int(took.milliseconds)) msec
        ;; SERVER: \(server.address)#\(server.port)(\(arguments.server)) (\(wasTCP ? "TCP" : "UDP"))
        ;; WHEN: \(when)
        ;; MSG SIZE  rcvd: \(byteCount)


        """
    }

    /// `Wed Dec 20 15:00:00 UTC 2023`
    private var when: String {
        let date = now.httpDate.split(separator: " ")
        guard date.count == 6 else { return now.description }
        return "\(date[0].dropLast()) \(date[2]) \(date[1]) \(date[4]) UTC \(date[3])"
    }

    // MARK: Lines

    private static func line(_ question: DNSMessage.Question) -> String {
        var line = Columns()
        line.add(question.name.description, at: 0)
        line.add(question.recordClass.description, at: 32)
        line.add(question.type.description, at: 40)
        return ";" + line.text
    }

    private static func line(_ record: DNSRecord) -> String {
        var line = Columns()
        line.add(record.name.description, at: 0)
        line.add(String(record.ttlSeconds), at: 24)
        line.add(record.recordClass.description, at: 32)
        line.add(record.type.description, at: 40)
        line.add(record.data.description, at: 48)
        return line.text
    }

    /// Text in columns that tabs lead to; where one is passed already, a blank.
    private struct Columns {
        var text = ""
        private var column = 0

        mutating func add(_ word: String, at place: Int) {
            if place > 0 {
                let target = max(place, column + 1)
                let tabs = max(0, target / 8 - column / 8)
                text += String(repeating: "\t", count: tabs)
                let start = tabs > 0 ? target / 8 * 8 : column
                text += String(repeating: " ", count: target - start)
                column = target
            }
            text += word
            column += word.count
        }
    }
}
