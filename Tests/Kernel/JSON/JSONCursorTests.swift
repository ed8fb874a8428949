import KernelJSON
import Testing

@Suite struct JSONCursorTests {
    private let document = JSONCursor([
        "name": "api", "rules": [["rate": 1.5], ["rate": "fast"], ["burst": 10.0]], "on": true, "none": .null,
        "odd name": [:], "big": .decimal("18446744073709551616"),
    ])

    @Test("members are read by type")
    func reading() throws {
        #expect(try document["name"].string() == "api")
        #expect(try document["on"].bool())
        #expect(try document["rules"].array()[0]["rate"].number() == 1.5)
        #expect(try document["rules"][2]["burst"].integer(in: 1...10) == 10)
        #expect(try document["big"].number() == 18446744073709551616)
        #expect(document["none"].ifPresent == nil && document["nowhere"]["deeper"].ifPresent == nil)
        #expect(try document["odd name"].members().isEmpty)
    }

    @Test("an error names the path and what was expected")
    func errors() {
        func message(_ read: (JSONCursor) throws(JSONTypeError) -> Void) -> String {
            do throws(JSONTypeError) { try read(document) } catch { return error.description }
            return ""
        }
        #expect(
            message { (root) throws(JSONTypeError) in _ = try root["rules"].array()[1]["rate"].number() }
                == "$.rules[1].rate: expected a number, not \"fast\"")
        #expect(
            message { (root) throws(JSONTypeError) in _ = try root["rules"][0]["rate"].integer(in: 1...9) }
                == "$.rules[0].rate: expected a whole number from 1 to 9, not 1.5")
        #expect(
            message { (root) throws(JSONTypeError) in _ = try root["rules"][7]["x"].string() }
                == "$.rules[7].x: missing; expected text")
        #expect(
            message { (root) throws(JSONTypeError) in _ = try root["odd name"].array() }
                == "$[\"odd name\"]: expected an array, not an object")
        #expect(
            message { (root) throws(JSONTypeError) in _ = try root["none"].bool() }
                == "$.none: expected true or false, not null")
        #expect(
            message { (root) throws(JSONTypeError) in try root.expectNoMembers(besides: ["name", "rules", "on"]) }
                == "$.none: unknown; there are name, rules, on")
        #expect(
            message { (root) throws(JSONTypeError) in _ = try root["big"].integer() }
                == "$.big: expected a whole number, not 18446744073709551616")
    }
}
