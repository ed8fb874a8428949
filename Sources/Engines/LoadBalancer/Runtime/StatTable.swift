/// The balancer's numbers under HAProxy's names: one row for the frontend, one for each server, one for the backend.
/// `show stat` writes it as CSV, typed lines or JSON, and `/metrics` takes its samples from it.
struct StatTable {
    enum Kind: Int {
        case frontend, backend, server
        /// In typed lines and in JSON.
        var name: String { self == .frontend ? "Frontend" : self == .backend ? "Backend" : "Server" }
    }

    enum Value: Equatable {
        case number(Int)
        case text(String)

        var csv: String {
            switch self {
            case .number(let number): return String(number)
            case .text(let text):
                if !text.contains(where: { $0 == "," || $0 == "\"" }) { return text }
                return "\"" + text.replacing("\"", with: "\"\"") + "\""
            }
        }
    }

    struct Row {
        let kind: Kind
        /// The server's, unique in the proxy; 0 for the others.
        let number: Int
        var values: [Value?] = Array(repeating: nil, count: StatTable.columns.count)

        init(_ kind: Kind, number: Int) {
            self.kind = kind
            self.number = number
        }

        subscript(_ column: String) -> Value? {
            get { values[StatTable.place(of: column)] }
            set { values[StatTable.place(of: column)] = newValue }
        }

        mutating func set(_ column: String, _ number: Int?) { self[column] = number.map { .number($0) } }
        mutating func set(_ column: String, _ text: String) { self[column] = .text(text) }
        func number(_ column: String) -> Int? {
            if case .number(let number) = self[column] { number } else { nil }
        }
        func text(_ column: String) -> String? { if case .text(let text) = self[column] { text } else { nil } }
    }

    /// HAProxy numbers proxies from 1, and its own first one is not shown.
    static let proxyNumber = 2

    var rows: [Row]

    // MARK: Columns

    struct Column: Sendable {
        let name: String
        /// Three letters of the typed format: origin, nature, scope.
        let tags: String
        let type: String
    }

    /// In the order of version 2.6. After the name, for columns that are filled: tags and type.
    private static let layout = """
        pxname:KNS:str svname:KNS:str qcur:MGP:u32 qmax:MMP:u32 scur:MGP:u32 smax:MMP:u32 slim:CLP:u32 stot:MCP:u64
        bin:MCP:u64 bout:MCP:u64 dreq dresp ereq:MCP:u64 econ:MCP:u64 eresp:MCP:u64 wretr:MCP:u64 wredis:MCP:u64
        status:SGP:str weight:MaP:u32 act:SGP:u32 bck:SGP:u32 chkfail:MCP:u64 chkdown:MCP:u64 lastchg:MAP:u32
        downtime:MCP:u32 qlimit:CLS:u32 pid:KGP:u32 iid:KGS:u32 sid:KGS:u32 throttle:MaP:u32 lbtot:MCP:u64 tracked
        type:CGS:u32 rate:MRP:u32 rate_lim rate_max:MMP:u32 check_status:MOP:str check_code:MOP:u32
        check_duration:MDP:u64 hrsp_1xx:MCP:u64 hrsp_2xx:MCP:u64 hrsp_3xx:MCP:u64 hrsp_4xx:MCP:u64 hrsp_5xx:MCP:u64
        hrsp_other:MCP:u64 hanafail req_rate:MRP:u32 req_rate_max:MMP:u32 req_tot:MCP:u64 cli_abrt:MCP:u64
        srv_abrt:MCP:u64 comp_in comp_out comp_byp comp_rsp lastsess:MAP:s32 last_chk:MOP:str last_agt qtime
        ctime:MaP:u32 rtime ttime:MaP:u32 agent_status agent_code agent_duration check_desc:MOP:str agent_desc
        check_rise:CGS:u32 check_fall:CGS:u32 check_health:CGS:u32 agent_rise agent_fall agent_health addr:CGS:str
        cookie:CNS:str mode:CGS:str algo:CGS:str conn_rate:MRP:u32 conn_rate_max:MMP:u32 conn_tot:MCP:u64 intercepted
        dcon dses wrew connect:MCP:u64 reuse:MCP:u64 cache_lookups cache_hits srv_icur:MGP:u32 src_ilim:CLP:u32
        qtime_max ctime_max:MMP:u32 rtime_max ttime_max:MMP:u32 eint idle_conn_cur safe_conn_cur used_conn_cur:MGP:u32
        need_conn_est uweight:MaP:u32 agg_server_status:MGP:u32 agg_server_check_status agg_check_status - ssl_sess
        ssl_reused_sess ssl_failed_handshake h2_headers_rcvd h2_data_rcvd h2_settings_rcvd h2_rst_stream_rcvd
        h2_goaway_rcvd h2_detected_conn_protocol_errors h2_detected_strm_protocol_errors h2_rst_stream_resp
        h2_goaway_resp h2_open_connections h2_backend_open_streams h2_total_connections h2_backend_total_streams
        h1_open_connections h1_open_streams h1_total_connections h1_total_streams h1_bytes_in h1_bytes_out
        h1_spliced_bytes_in h1_spliced_bytes_out
        """

    static let columns: [Column] = layout.split(whereSeparator: \.isWhitespace).map { word in
        let parts = word.split(separator: ":").map(String.init)
        return Column(
            name: parts[0], tags: parts.count > 1 ? parts[1] : "MGP", type: parts.count > 2 ? parts[2] : "u32")
    }

    private static let places = Dictionary(uniqueKeysWithValues: columns.enumerated().map { ($1.name, $0) })

    static func place(of column: String) -> Int {
        guard let place = places[column] else { preconditionFailure("no column is called \(column)") }
        return place
    }

    // MARK: Forms

    /// Every line, the heading too, ends in a comma, as HAProxy's do.
    var csv: String {
        var text = "# " + Self.columns.map { $0.name + "," }.joined() + "\n"
        for row in rows {
            for (column, value) in zip(Self.columns, row.values) {
                // The mark between the columns that stay where they are and those that may not.
                text += (column.name == "-" ? "-" : value?.csv ?? "") + ","
            }
            text += "\n"
        }
        return text
    }

    /// `S.2.1.18.weight.1:MaP:u32:5`: kind, proxy, number, place and name of the column, process; tags; type; value.
    var typed: String {
        var text = ""
        for row in rows {
            for (place, value) in row.values.enumerated() {
                guard let value else { continue }
                let column = Self.columns[place]
                text += "\(row.kind.name.prefix(1)).\(Self.proxyNumber).\(row.number).\(place).\(column.name).1"
                text += ":\(column.tags):\(column.type):\(RuntimeText.plain(value))\n"
            }
        }
        return text
    }

    var json: String {
        let objects = rows.map { row in
            let fields = row.values.enumerated().compactMap { place, value in
                value.map { value in
                    "{\"objType\":\"\(row.kind.name)\",\"proxyId\":\(Self.proxyNumber),\"id\":\(row.number),"
                        + RuntimeText.jsonField(place, Self.columns[place], value) + "}"
                }
            }
            return "[" + fields.joined(separator: ",") + "]"
        }
        return "[" + objects.joined(separator: ",") + "]\n"
    }
}

/// Values in the forms that typed lines and JSON share.
enum RuntimeText {
    static func plain(_ value: StatTable.Value) -> String {
        switch value {
        case .number(let number): String(number)
        case .text(let text): text
        }
    }

    private static let origins: [Character: String] = [
        "M": "Metric", "S": "Status", "K": "Key", "C": "Config", "P": "Product",
    ]
    private static let natures: [Character: String] = [
        "A": "Age", "a": "Avg", "C": "Counter", "D": "Duration", "G": "Gauge", "L": "Limit", "M": "Max", "m": "Min",
        "N": "Name", "O": "Output", "R": "Rate", "T": "Time",
    ]
    private static let scopes: [Character: String] = ["C": "Cluster", "P": "Process", "S": "Service", "s": "System"]

    static func jsonField(_ place: Int, _ column: StatTable.Column, _ value: StatTable.Value) -> String {
        let tags = Array(column.tags)
        let shown =
            switch value {
            case .number(let number): String(number)
            case .text(let text): jsonString(text)
            }
        return "\"field\":{\"pos\":\(place),\"name\":\"\(column.name)\"},\"processNum\":1,\"tags\":{\"origin\":\""
            + "\(origins[tags[0]] ?? "")\",\"nature\":\"\(natures[tags[1]] ?? "")\",\"scope\":\""
            + "\(scopes[tags[2]] ?? "")\"},\"value\":{\"type\":\"\(column.type)\",\"value\":\(shown)}"
    }

    static func jsonString(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            default:
                if scalar.value < 32 {
                    let digits = String(scalar.value, radix: 16)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    quoted.unicodeScalars.append(scalar)
                }
            }
        }
        return quoted + "\""
    }
}
