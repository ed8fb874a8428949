import CommandKit
import KernelStructures
import KernelWire
import RegistryEngine

/// dig's words: `[@SERVER] [-p PORT] [-t TYPE] [-x ADDRESS] [NAME] [TYPE] [CLASS] [+OPTION…]`, in any order.
struct DigArguments {
    var server = "localhost"
    var port: UInt16 = 53
    var name = DNSName.root
    var type = DNSType.a
    var isReverse = false
    var wantsTCP = false
    var isShort = false
    var wantsRecursion = true
    var ignoresTruncation = false
    var usesEDNS = true
    var payloadBytes = DNSMessage.EDNS.usualPayloadBytes
    var timeout = LabDuration.seconds(5)
    var tries = 3
    var showsCommand = true
    var showsComments = true
    var showsQuestion = true
    var showsAnswer = true
    var showsAuthority = true
    var showsAdditional = true
    var showsStatistics = true
    /// As typed, for the first line.
    let words: [String]

    /// - Throws: `UsageError` for what is none of dig's, or not known here.
    init(_ words: [String]) throws(UsageError) {
        self.words = words
        var rest = words[...]
        var hasType = false
        var hasName = false
        func value(_ flag: String) throws(UsageError) -> String {
            guard let value = rest.popFirst() else { throw UsageError("dig: \(flag) needs a value") }
            return value
        }
        while let word = rest.popFirst() {
            if word.hasPrefix("@") {
                server = String(word.dropFirst())
            } else if word.hasPrefix("+") {
                try read(option: String(word.dropFirst()))
            } else if word == "-p" {
                let text = try value("-p")
                guard let number = UInt16(text), number > 0 else {
                    throw UsageError("dig: -p: '\(text)' is not a port")
                }
                port = number
            } else if word == "-t" {
                type = try Self.type(try value("-t"))
                hasType = true
            } else if word == "-q" {
                name = try Self.name(try value("-q"))
                hasName = true
            } else if word == "-x" {
                name = try Self.reverse(try value("-x"))
                isReverse = true
                hasName = true
            } else if word == "-4" || word == "-6" {
                continue
            } else if word.hasPrefix("-") {
                throw UsageError("dig: '\(word)' is not known here; there are -p, -t, -q and -x")
            } else if !hasType, hasName, let type = DNSType(parsing: word) {
                self.type = type
                hasType = true
            } else if ["IN", "in"].contains(word) {
                continue
            } else if !hasType, !hasName, let type = DNSType(parsing: word), word == word.uppercased(), !rest.isEmpty {
                self.type = type
                hasType = true
            } else {
                name = try Self.name(word)
                hasName = true
            }
        }
        if isReverse, !hasType { type = .ptr }
        if !hasName, !hasType { type = .ns }
        if type == .axfr { throw UsageError("dig: zone transfers are not known here") }
    }

    private static func type(_ text: String) throws(UsageError) -> DNSType {
        guard let type = DNSType(parsing: text) else { throw UsageError("dig: '\(text)' is no type of record") }
        return type
    }

    private static func name(_ text: String) throws(UsageError) -> DNSName {
        guard let name = DNSName(parsing: text) else {
            throw UsageError("dig: '\(text)' is not a legal name: labels of 1 to 63 bytes, 255 together")
        }
        return name
    }

    private static func reverse(_ text: String) throws(UsageError) -> DNSName {
        guard let address = IPAddress(parsing: text) else { throw UsageError("dig: -x: '\(text)' is no address") }
        if let four = address.ipv4 {
            let parts = four.description.split(separator: ".").reversed().joined(separator: ".")
            return try name("\(parts).in-addr.arpa")
        }
        let digits = hexadecimal(address.high, 16) + hexadecimal(address.low, 16)
        return try name(digits.reversed().map(String.init).joined(separator: ".") + ".ip6.arpa")
    }

    private mutating func read(option: String) throws(UsageError) {
        let isOn = !option.hasPrefix("no")
        let body = isOn ? option[...] : option.dropFirst(2)
        let parts = body.split(separator: "=", maxSplits: 1).map(String.init)
        let number = parts.count == 2 ? Int(parts[1]) : nil
        switch parts.first {
        case "short": isShort = isOn
        case "tcp", "vc": wantsTCP = isOn
        case "rec", "recurse": wantsRecursion = isOn
        case "ignore": ignoresTruncation = isOn
        case "edns": usesEDNS = isOn
        case "bufsize":
            guard isOn, let number, (0...65_535).contains(number) else {
                throw UsageError("dig: +\(option): write +bufsize=1232")
            }
            payloadBytes = UInt16(number)
        case "time", "timeout":
            guard let number, number > 0, number <= 3600 else { throw UsageError("dig: +\(option): write +time=5") }
            timeout = .seconds(number)
        case "tries", "retry":
            guard let number, (0...100).contains(number) else { throw UsageError("dig: +\(option): write +tries=3") }
            tries = parts[0] == "tries" ? max(1, number) : number + 1
        case "all":
            showsCommand = isOn
            showsComments = isOn
            showsQuestion = isOn
            showsAnswer = isOn
            showsAuthority = isOn
            showsAdditional = isOn
            showsStatistics = isOn
        case "cmd": showsCommand = isOn
        case "comments": showsComments = isOn
        case "question": showsQuestion = isOn
        case "answer": showsAnswer = isOn
        case "authority": showsAuthority = isOn
        case "additional": showsAdditional = isOn
        case "stats": showsStatistics = isOn
        case "search", "cookie", "dnssec", "adflag": break
        default:
            throw UsageError("dig: +\(option) is not known here; there are +short, +tcp, +noall, +answer, +bufsize=N …")
        }
    }

    var query: DNSMessage {
        var query = DNSMessage(id: 0)
        query.wantsRecursion = wantsRecursion
        query.isAuthentic = true
        query.questions = [.init(name, type)]
        if usesEDNS { query.edns = .init(payloadBytes: payloadBytes) }
        return query
    }
}
