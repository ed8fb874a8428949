import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// What the balancer's log says of each request (`log: requests`): HAProxy's lines, so that what reads those can read
/// these.
///
/// ```
/// 127.0.0.1:33317 [20/Dec/2023:15:00:00.200] lb lb/a 0/0/1/200/201 200 164 - - ---- 3/3/2/1/0 0/0 "GET / HTTP/1.1"
/// ```
///
/// | part              | what it is                                                                        |
/// |-------------------|-----------------------------------------------------------------------------------|
/// | `127.0.0.1:33317` | the client, and when its request arrived                                          |
/// | `lb lb/a`         | frontend, backend (both are this balancer) and server                             |
/// | `0/0/1/200/201`   | times: head, in the queue, connecting, to the answer's first byte, whole          |
/// | `200 164`         | status, and bytes that the client got                                             |
/// | `----`            | how it ended: see below                                                           |
/// | `3/3/2/1/0`       | connections: open, open here, busy, busy at the server; retries (`+1`: elsewhere) |
/// | `0/0`             | requests before it in the server's queue (there is none) and in the backend's     |
///
/// Times are milliseconds; -1 says that it did not get so far. The four letters after the two dashes say how it ended,
/// who did it first and what it was waiting for second:
///
/// | first                            | second                         | third: the client's cookie | fourth: ours |
/// |----------------------------------|--------------------------------|----------------------------|--------------|
/// | `-` nobody: all is well          | `-` nothing                    | `-` cookies are not used   | `-`          |
/// | `C` the client went away         | `R` the whole request          | `N` none                   | `N` none     |
/// | `S` the server refused or broke  | `Q` a turn in the queue        | `I` of no server           | `I` inserted |
/// | `c` the client took too long     | `C` the server's connection    | `D` of one that is out     |              |
/// | `s` the server took too long     | `H` the answer's head          | `V` of one that is used    |              |
/// | `P` the balancer refused         | `D` the rest of the answer     |                            |              |
/// | `R` the balancer was full        |                                |                            |              |
/// | `K` an operator cut it           |                                |                            |              |
///
/// Together they answer most questions of the kind "whose fault was it?": `SC` is a server that is down, `sH` one that
/// is too slow, `CD` a client that has left, `sQ` too few servers.
struct RequestLog {
    /// When it arrived; the other times are nil until they come.
    var began = LabTime(nanoseconds: 0)
    var chosen: LabTime?
    var connected: LabTime?
    var answered: LabTime?
    /// Requests that waited when this one began to.
    var ahead = 0
    /// What the client's connection had carried before.
    var bytesBefore = 0

    init() {}
    init(now: LabTime, bytesBefore: Int) {
        began = now
        self.bytesBefore = bytesBefore
    }

    /// What has come of a request.
    struct Ending {
        var status: Int?
        var bytes = 0
        /// Two letters, or four.
        var code: String
        var server: String?
        var retries = 0
        var requestLine: String?
    }

    /// How many connections there are at that moment.
    struct Crowd {
        var open: Int
        var active: Int
        var atServer: Int
    }

    func line(_ client: Endpoint, proxy: String, _ ending: Ending, _ crowd: Crowd, now: LabTime) -> String {
        let times = ending.requestLine == nil ? connectionTimes(now) : requestTimes(now)
        var text = "\(client) [\(Self.date(began))] \(proxy) \(proxy)/\(ending.server ?? "<NOSRV>") \(times) "
        if ending.requestLine != nil { text += "\(ending.status.map { "\($0)" } ?? "-1") " }
        text += "\(ending.bytes) "
        if ending.requestLine != nil { text += "- - " }
        text += "\(ending.code) \(crowd.open)/\(crowd.open)/\(crowd.active)/\(crowd.atServer)/"
        text += (ending.retries > 0 ? "+" : "") + "\(ending.retries) 0/\(ahead)"
        if let line = ending.requestLine { text += " \"\(line)\"" }
        return text
    }

    /// Head / queue / connect / answer / total. A head is there before its request is known, so its time is 0.
    private func requestTimes(_ now: LabTime) -> String {
        let parts = [
            0, Self.milliseconds(chosen, since: began), Self.milliseconds(connected, since: chosen),
            Self.milliseconds(answered, since: connected), Self.milliseconds(now, since: began),
        ]
        return parts.map(String.init).joined(separator: "/")
    }

    /// Queue / connect / total.
    private func connectionTimes(_ now: LabTime) -> String {
        let parts = [
            Self.milliseconds(chosen, since: began), Self.milliseconds(connected, since: chosen),
            Self.milliseconds(now, since: began),
        ]
        return parts.map(String.init).joined(separator: "/")
    }

    private static func milliseconds(_ time: LabTime?, since begin: LabTime?) -> Int {
        guard let time, let begin else { return -1 }
        return Int((time - begin).nanoseconds / 1_000_000)
    }

    /// Quotes and control characters would end the field early.
    static func printable(_ line: String) -> String {
        var text = ""
        for scalar in line.unicodeScalars {
            if scalar.value < 32 || scalar.value == 127 || scalar == "\"" {
                text += "#" + hexadecimal(UInt64(scalar.value), 2)
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// `20/Dec/2023:15:00:00.200`
    private static func date(_ time: LabTime) -> String {
        let civil = CivilTime(time)
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return "\(padded(civil.day, 2))/\(months[civil.month - 1])/\(padded(civil.year, 4)):\(time.timeOfDay)."
            + padded(civil.nanosecond / 1_000_000, 3)
    }
}

/// A line that is ready but for the number of bytes: what is counted last goes out last.
struct PendingLine {
    fileprivate let host: LoadBalancerHost
    fileprivate let times: RequestLog
    fileprivate let client: Stream
    fileprivate var ending: RequestLog.Ending
    fileprivate let crowd: RequestLog.Crowd

    func write() {
        var ending = ending
        ending.bytes = client.bytesSent - times.bytesBefore
        let line = times.line(client.remote, proxy: host.node.name, ending, crowd, now: host.node.world.now)
        host.node.log(LoadBalancerHost.tag, "\(line)")
    }
}

extension LoadBalancerHost {
    /// Nil if nobody wants such lines.
    func pendingLine(_ times: RequestLog, of client: Stream, _ ending: RequestLog.Ending, server: Int?)
        -> PendingLine?
    {
        guard configuration.logsRequests else { return nil }
        var ending = ending
        ending.server = server.map { engine.servers[$0].name }
        let crowd = RequestLog.Crowd(
            open: openConnections, active: engine.active, atServer: server.map { engine.servers[$0].active } ?? 0)
        return PendingLine(host: self, times: times, client: client, ending: ending, crowd: crowd)
    }
}

extension BalancedExchange {
    /// The line of the present request, which ends now.
    ///
    /// - Parameter code: who ended it, and what it waited for: `--`, `SC`.
    func pendingLine(_ code: String, status: Int?) -> PendingLine? {
        guard host.configuration.logsRequests else { return nil }
        let hasServer = !tried.isEmpty
        let line = String(decoding: client.head.bytes.prefix { $0 != 13 }.prefix(Self.lineLimitBytes), as: UTF8.self)
        return host.pendingLine(
            times, of: client.stream,
            .init(
                status: status, code: code + cookieCode(hasServer), retries: arrival.attempt - 1,
                requestLine: RequestLog.printable(line)),
            server: hasServer ? slot : nil)
    }

    /// Bytes of a request line that are shown.
    private static let lineLimitBytes = 1024

    private func cookieCode(_ hasServer: Bool) -> String {
        guard let cookie = proxy.cookie else { return "--" }
        guard let markedServer else {
            return (cookie.value(in: client.head) == nil ? "N" : "I") + (hasServer ? "I" : "N")
        }
        return markedServer == slot && hasServer ? "VN" : hasServer ? "DI" : "DN"
    }
}

extension HTTPProxy {
    /// The line of a request that could not be read.
    func logRejection(_ connection: HTTPServerConnection, _ error: HTTPError) {
        let times = RequestLog(now: host.node.world.now, bytesBefore: connection.stream.bytesSent)
        let code = error.status == 408 ? "cR" : "PR"
        host.pendingLine(
            times, of: connection.stream, .init(status: error.status, code: code + "--", requestLine: "<BADREQ>"),
            server: nil)?.write()
    }
}
