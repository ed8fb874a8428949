import DatabaseEngine
import Testing

@Suite struct VersionTests {
    @Test func theNumberIsTheText() {
        let parts = DatabaseVersion.text.split(separator: ".").compactMap { Int($0) }
        #expect(parts[0] * 10_000 + parts[1] == DatabaseVersion.number)
    }
}
