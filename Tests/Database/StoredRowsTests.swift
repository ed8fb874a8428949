import KernelSQLite
import Testing

@testable import DatabaseEngine

/// FETCH in every direction, over five rows: what PostgreSQL 15 returned for the same steps.
@Suite struct StoredRowsTests {
    private func rows(_ steps: [(FetchPlan.Direction, Int?)]) -> [[Int]] {
        var stored = StoredRows()
        stored.rows = (0..<5).map { [.integer(Int64($0))] }
        return steps.map { direction, count in
            stored.move(FetchPlan(name: "c", direction: direction, count: count, isMove: false))
        }
    }

    @Test func forwardAndBack() {
        #expect(
            rows([(.forward, 2), (.backward, 1), (.backward, 1), (.forward, 1)]) == [[0, 1], [0], [], [0]])
        #expect(rows([(.forward, nil), (.backward, 2), (.backward, nil)]) == [[0, 1, 2, 3, 4], [4, 3], [2, 1, 0]])
        #expect(rows([(.forward, 9), (.forward, 1), (.backward, 1)]) == [[0, 1, 2, 3, 4], [], [4]])
        #expect(rows([(.forward, -1), (.forward, 3), (.forward, 0), (.forward, -1)]) == [[], [0, 1, 2], [2], [1]])
    }

    @Test func absoluteAndRelative() {
        #expect(rows([(.absolute, 3), (.absolute, -1), (.absolute, 0), (.forward, 1)]) == [[2], [4], [], [0]])
        #expect(rows([(.absolute, 2), (.relative, 2), (.relative, -1), (.relative, 0)]) == [[1], [3], [2], [2]])
        #expect(rows([(.absolute, 9), (.backward, 1), (.absolute, -9), (.forward, 1)]) == [[], [4], [], [0]])
        #expect(rows([(.relative, .max), (.relative, .min), (.forward, 1)]) == [[], [], [0]])
    }
}
