import KernelJSON
import TestSupport
import Testing
import TimeSeriesEngine

@Suite("How a query is meant")
struct QueryFormTests {
    private func world() throws -> LogWorld {
        let world = try LogWorld()
        world.logs.add(["service": "user"], [(world.now - 1_000_000, "n=3")])
        return world
    }

    @Test(
        "a sum of numbers is a number, and what only looks like one is looked for",
        arguments: ["1+1", "1%2B1", "(4 - 2)", "2"])
    func arithmetic(_ query: String) throws {
        let world = try world()
        world.logs.add(["service": "x"], [(world.now - 9, "since 2024-01-15 of 2 in 10.0.0.0/8")])
        let answer = try world.ask(
            "/loki/api/v1/query?query=\(query.replacing("+", with: "%2B").replacing(" ", with: "%20"))")
        guard query != "2" else { return #expect(answer.status == 400) }
        let data = JSONCursor(try JSONValue(parsing: answer.body))["data"]
        #expect(try data["resultType"].string() == "scalar" && data["result"][1].string() == "2")
        for search in ["2024-01-15", "10.0.0.0/8", "2"] {
            let data = try world.data("/loki/api/v1/query_range?query=\(search)")["data"]
            #expect(try data["resultType"].string() == "streams" && data["result"].array().count == 1, "\(search)")
        }
    }

    @Test("service:X finds what OpenTelemetry calls service_name as well, and leaves the same out as before")
    func otherName() throws {
        let world = try world()
        world.logs.add(["service_name": "ox"], [(world.now - 9, "from a collector")])
        for (search, count) in [
            ("service:ox", 1), ("service:=ox", 1), ("service:o*", 1), ("service:(ox OR user)", 2), ("service:oxen", 0),
        ] {
            let query = search.replacing(" ", with: "%20").replacing("=", with: "%3D")
            let data = try world.data("/loki/api/v1/query_range?query=\(query)&limit=1000")["data"]
            #expect(try data["result"].array().count == count, "\(search)")
        }
    }
}
