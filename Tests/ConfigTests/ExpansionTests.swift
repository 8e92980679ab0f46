@testable import Config
import Testing
import Topology

@Suite struct ExpansionTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let result: Result<String, ExpansionError>

        init(_ text: String, _ result: String) { (testDescription, self.result) = (text, .success(result)) }
        init(_ text: String, at offset: Int, fails message: String) {
            testDescription = text
            result = .failure(ExpansionError(message: message, offset: offset))
        }
    }

    @Test(
        "references to the environment",
        arguments: [
            Row("plain", "plain"), Row("", ""), Row("$A", "$A"), Row("a $ b", "a $ b"), Row("${A}", "1"),
            Row("x${A}y${B_2}z", "x1y2z"), Row("${A:-9}", "1"), Row("${NONE:-9}", "9"), Row("${NONE:-}", ""),
            Row("${EMPTY}", ""), Row("${EMPTY:-9}", "9"), Row("$${A}", "${A}"), Row("$$${A}", "$${A}"),
            Row("${NONE:-a:b}", "a:b"), Row("${NONE:-${A}}", "${A}"), Row("${INJECT}", "a\nworkers: 9 ${A}"),
            Row("ä${A}", "ä1"),
            Row("${A", at: 0, fails: "${ without }; write $${ for a literal ${"),
            Row("ä ${}", at: 2, fails: "malformed reference, expected ${NAME} or ${NAME:-default}"),
            Row("${2A}", at: 0, fails: "malformed reference, expected ${NAME} or ${NAME:-default}"),
            Row("${A-9}", at: 0, fails: "malformed reference, expected ${NAME} or ${NAME:-default}"),
            Row("${A B}", at: 0, fails: "malformed reference, expected ${NAME} or ${NAME:-default}"),
            Row("ab${GONE}", at: 2, fails: "environment variable \"GONE\" is not set, and ${GONE} has no default"),
        ])
    func expansion(_ row: Row) {
        let variables = ["A": "1", "B_2": "2", "EMPTY": "", "INJECT": "a\nworkers: 9 ${A}"]
        let result = Result { () throws(ExpansionError) in
            try expandVariables(in: row.testDescription, environment: { variables[$0] })
        }
        #expect(result == row.result)
    }

    @Test("values of every type are expanded, keys are not")
    func everywhere() throws {
        let text = """
            workers: ${N}
            logging: {access: "${NO}", level: "${LEVEL}"}
            limits: {bodyBytes: '${SIZE:-1MiB}'}
            models: [{name: "${MODEL}", endpoints: ["http://${HOST}:${PORT:-8000}"]}]
            """
        let loaded = load(text, ["N": "3", "NO": "false", "LEVEL": "debug", "MODEL": "m", "HOST": "h"])
        #expect(loaded.problems == [])
        let configuration = try #require(loaded.configuration)
        #expect(configuration.workers == 3)
        #expect(!configuration.logging.access && configuration.logging.level == .debug)
        #expect(configuration.listeners[0].limits.bodyBytes == 1 << 20)
        #expect(configuration.models.map(\.name) == ["m"])
        #expect(configuration.pools[0].endpoints.map(\.address.description) == ["http://h:8000"])
        #expect(load(minimal + "${N}: 3\n", ["N": "workers"]).problems.map(\.message) == ["unknown key \"${N}\""])
    }

    @Test("a reference in flow style without quotes gets advice")
    func flow() {
        let loaded = load("models: [{name: a, endpoints: [http://${HOST}:1]}]\n", ["HOST": "h"])
        #expect(
            loaded.problems.map(\.description) == [
                "gateway.yaml:1:40: error: within [ ] or { } a value with ${…} needs quotes"
            ])
    }

    @Test("a missing variable is reported where it stands")
    func position() {
        let loaded = load(minimal + "logging:\n  output: /var/${GONE}/log\n")
        #expect(
            loaded.problems.map(\.description) == [
                "gateway.yaml:5:16: error: environment variable \"GONE\" is not set, and ${GONE} has no default"
            ])
    }
}
