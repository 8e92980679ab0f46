import Routing
import Testing
import Topology

@Suite("Models that take over")
struct FallbackTests {
    private func fallbacks(_ overload: [Int], context: [Int] = []) -> Fallbacks {
        var fallbacks = Fallbacks()
        fallbacks.overload = overload
        fallbacks.contextLength = context
        return fallbacks
    }

    private func walk(_ table: [Fallbacks], from model: Int = 0, _ cause: FallbackCause = .overload) -> (
        [Int], FallbackEnd?
    ) {
        var trail = FallbackTrail(model: model)
        var models: [Int] = []
        while true {
            switch trail.advance(for: cause, { table[$0] }) {
            case .model(let next):
                models.append(next)
                #expect(trail.current == next)
            case .none(let end): return (models, end)
            }
        }
    }

    @Test("in order, each once, then the end")
    func order() {
        let table = [fallbacks([1, 2]), fallbacks([]), fallbacks([])]
        #expect(walk(table) == ([1, 2], .allVisited))
        #expect(walk(table, .contextLength) == ([], .notConfigured))
    }

    @Test("the fallbacks of the model that failed come first")
    func nested() {
        #expect(walk([fallbacks([1, 2]), fallbacks([3]), fallbacks([]), fallbacks([])]) == ([1, 3, 2], .allVisited))
    }

    @Test("a circle ends")
    func circle() {
        #expect(walk([fallbacks([1]), fallbacks([0])]) == ([1], .allVisited))
        #expect(walk([fallbacks([0])]) == ([], .allVisited))
    }

    @Test("five at most")
    func depth() {
        #expect(walk((0..<9).map { fallbacks([$0 + 1]) }) == ([1, 2, 3, 4, 5], .tooDeep))
    }

    @Test("each cause has its own models")
    func causes() {
        let table = [fallbacks([1], context: [2]), fallbacks([], context: [3]), fallbacks([]), fallbacks([])]
        var trail = FallbackTrail(model: 0)
        #expect(trail.advance(for: .overload, { table[$0] }) == .model(1))
        #expect(trail.advance(for: .contextLength, { table[$0] }) == .model(3))
        #expect(trail.advance(for: .contextLength, { table[$0] }) == .model(2))
        #expect(trail.advance(for: .contentPolicy, { table[$0] }) == .none(.notConfigured))
        #expect(trail.count == 4)
    }
}
