import Glibc
import Testing

/// A proxy with a recording origin of its own behind it.
final class SmugglingFront {
    let name: String
    let origin: RecordingOrigin
    private let port: UInt16
    private let process: ProgramProcess
    private let directory: ProgramDirectory

    /// What became of a case.
    struct Outcome {
        /// The statuses that the client got, 0 for bytes that are no answer, and whether the origin gave them.
        var answers: [(status: Int, isFromOrigin: Bool)]
        var origin: RecordingOrigin.Log
        /// Whether the client's connection was ended in time.
        var isEnded: Bool
        /// What another client got that asked afterwards: its own answer, if all is well.
        var victim: String

        var statuses: [Int] { answers.map(\.status) }
        /// Whether the first request was passed on and answered.
        var isAccepted: Bool { answers.first?.isFromOrigin ?? false }
        /// `400`, `200 400`, `none`; with an asterisk if it was the origin that had doubts.
        var text: String {
            if answers.isEmpty { return "none" }
            return answers.map { "\($0.status)" + ($0.isFromOrigin && $0.status != 200 ? "*" : "") }.joined(
                separator: " ")
        }
    }

    private init(
        _ name: String,
        _ start: (_ origin: UInt16, _ port: UInt16, _ directory: ProgramDirectory) throws -> ProgramProcess
    ) throws {
        self.name = name
        origin = try RecordingOrigin()
        directory = try ProgramDirectory()
        port = try ProgramPort.free()
        process = try start(origin.port, port, directory)
    }

    deinit { origin.stop() }

    // MARK: Products

    /// Those of this project, which must hold what the cases say.
    enum Own: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case loadbalancer, ratelimiter
        case gateway = "api-gateway"

        var testDescription: String { rawValue }

        /// What the gateway makes of a case otherwise than the others, and means to: it passes on the path that its
        /// rules have seen, in one form, and refuses what servers would read in two ways.
        private static let canonical: [String: (statuses: [Int], seen: [String])] = [
            "dots are left alone": ([200, 200], ["GET /case @h ", SmugglingCase.secondSeen]),
            "a path that looks like an authority": ([200, 200], ["GET /evil/case @h ", SmugglingCase.secondSeen]),
            "encoded line ends are left alone": ([400, 200], [SmugglingCase.secondSeen]),
            "OPTIONS *": ([404, 200], [SmugglingCase.secondSeen]),
        ]

        func outcome(of smuggling: SmugglingCase) -> (statuses: [Int], seen: [String]) {
            (self == .gateway ? Self.canonical[smuggling.name] : nil)
                ?? (statuses: smuggling.statuses, seen: smuggling.seen)
        }

        func start() throws -> SmugglingFront {
            try SmugglingFront(rawValue) { origin, port, directory in
                switch self {
                case .loadbalancer:
                    try directory.place("lb.yaml", "backends: [\(origin)]\nhealth_check: {interval: 1h}\n")
                    return try .service(rawValue, "--config", "lb.yaml", port: port, directory: directory.path)
                case .gateway:
                    try directory.place(
                        "gateway.yaml",
                        """
                        auth: none
                        log: none
                        services: {origin: {url: "http://127.0.0.1:\(origin)", breaker: false, outlier_ejection: false}}
                        routes: [{path: /*, service: origin}]
                        """)
                    return try .service(rawValue, "--config", "gateway.yaml", port: port, directory: directory.path)
                case .ratelimiter:
                    return try .service(
                        rawValue, "--rate", "1000000", "--upstream", "localhost:\(origin)", port: port,
                        directory: directory.path)
                }
            }
        }
    }

    static func haproxy() throws -> SmugglingFront {
        try SmugglingFront("haproxy") { origin, port, directory in
            let file = try directory.place(
                "haproxy.cfg",
                """
                global
                    nbthread 1
                defaults
                    mode http
                    timeout connect 10s
                    timeout client 10s
                    timeout server 10s
                    option http-keep-alive
                    http-reuse always
                    retries 0
                listen front
                    bind 127.0.0.1:\(port)
                    server origin 127.0.0.1:\(origin)

                """)
            return try .tool("haproxy", ["-db", "-f", file], port: port)
        }
    }

    static func nginx() throws -> SmugglingFront {
        try SmugglingFront("nginx") { origin, port, directory in
            let place = directory.path
            let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map { "\($0)_temp_path \(place)/\($0);" }.joined(separator: " ")
            let file = try directory.place(
                "nginx.conf",
                """
                daemon off; master_process off; pid \(place)/pid; error_log stderr crit;
                \(getuid() == 0 ? "user root;" : "")
                events { worker_connections 512; }
                http {
                    access_log off; \(places)
                    upstream origin { server 127.0.0.1:\(origin); keepalive 8; }
                    server {
                        listen 127.0.0.1:\(port);
                        location / {
                            proxy_pass http://origin; proxy_http_version 1.1; proxy_next_upstream off;
                            proxy_set_header Connection ""; proxy_set_header Host $http_host;
                            # The client's end is only the end of what it has to say.
                            proxy_ignore_client_abort on;
                        }
                    }
                }

                """)
            return try .tool("nginx", ["-p", place, "-e", "stderr", "-c", file], port: port)
        }
    }

    // MARK: Cases

    /// Sends a case's bytes and hears everybody.
    ///
    /// - Parameter finishes: whether the client says that it has said all. Then the connection ends in any case;
    ///   otherwise it is up to the proxy to end it.
    func run(_ bytes: [UInt8], finishes: Bool, method: String = "") throws -> Outcome {
        let client = try ProgramConnection(port: port)
        // A proxy may have seen enough before it has seen all.
        try? client.send(bytes)
        if finishes { client.finish() }
        let received = client.rest()
        let victim = try ProgramConnection(port: port)
        try victim.send("GET /victim HTTP/1.1\r\nHost: victim\r\n\r\n")
        let answer = try victim.response()
        var log = try origin.take()
        // The victim's own request, and the balancer's probes, are nobody's concern here.
        log.requests.removeAll {
            ["victim"].contains($0.value("host")) || $0.value("user-agent") == "sdlab-health-check"
        }
        return Outcome(
            answers: Self.answers(received ?? [], toHead: method == "HEAD"), origin: log, isEnded: received != nil,
            victim: "\(answer.status) \(answer.body)")
    }

    static let victimAnswer = "200 GET /victim\n"

    private static func answers(_ bytes: [UInt8], toHead: Bool) -> [(status: Int, isFromOrigin: Bool)] {
        var answers: [(status: Int, isFromOrigin: Bool)] = []
        var rest = Latin1.text(bytes).unicodeScalars[...]
        var isFirst = true
        while !rest.isEmpty {
            guard let head = rest.takeHead() else { return answers + [(0, false)] }
            let lines = String(head).split(whereSeparator: \.isNewline).map { $0.lowercased() }
            guard lines[0].hasPrefix("http/1."), let status = Int(lines[0].dropFirst(9).prefix(3)) else {
                return answers + [(0, false)]
            }
            if status < 200 { continue }
            let isFromOrigin = lines.contains { $0.hasPrefix(RecordingOrigin.mark.lowercased() + ":") }
            answers.append((status, isFromOrigin))
            if !(toHead && isFirst) {
                if lines.contains(where: { $0.hasPrefix("transfer-encoding:") }) {
                    rest.dropChunks()
                } else if let length = lines.first(where: { $0.hasPrefix("content-length:") }) {
                    rest = rest.dropFirst(Int(length.dropFirst(15).filter(\.isNumber)) ?? 0)
                } else {
                    rest = rest.suffix(0)
                }
            }
            isFirst = false
        }
        return answers
    }
}

extension Substring.UnicodeScalarView {
    /// Everything up to the first empty line, which is dropped with it.
    fileprivate mutating func takeHead() -> Substring.UnicodeScalarView? {
        var index = startIndex
        var matched = 0
        let end = Array("\r\n\r\n".unicodeScalars)
        while index < endIndex, matched < 4 {
            matched = self[index] == end[matched] ? matched + 1 : self[index] == "\r" ? 1 : 0
            formIndex(after: &index)
        }
        guard matched == 4 else { return nil }
        defer { self = self[index...] }
        return self[..<index]
    }

    /// Drops a chunked body without trailers.
    fileprivate mutating func dropChunks() {
        while let end = firstIndex(of: "\n") {
            let size = Int(String(self[..<end].filter { $0.properties.isASCIIHexDigit }), radix: 16) ?? 0
            self = self[index(after: end)...].dropFirst(size + 2)
            if size == 0 { return }
        }
    }
}
