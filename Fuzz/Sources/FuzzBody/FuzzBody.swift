// Any bytes as a request body: no crash, and what is accepted is spliced into JSON that says what was asked for.
import Bytes
import OpenAI

/// Inspects a body as each of the sources, rewrites it, and inspects the result.
func check(_ body: Span<UInt8>) {
    for source in [ModelSource.body, .bodyIfAny, .path] {
        var facts = RequestFacts()
        do throws(BodyError) {
            try inspect(body, into: &facts, model: source)
        } catch {
            var queue = ByteQueue()
            APIError(error).write(.openai, requestID: Span(), into: &queue)
            mustBeJSON(queue.span)
            continue
        }
        checkRewrite(body, facts)
    }
    _ = UsageReader.read(body)
    _ = ModelList.readNames(body)
    var queue = ByteQueue()
    APIError.upstream(status: 400, body: body, credentialsAreOurs: false).write(.openai, requestID: body, into: &queue)
    mustBeJSON(queue.span)
    queue.removeAll()
    queue.append(jsonString: body)
    mustBeJSON(queue.span)
}

func checkRewrite(_ body: Span<UInt8>, _ facts: RequestFacts) {
    let name = Array("new \"name\"".utf8)
    var queue = ByteQueue()
    BodyRewrite(model: name, forcesUsage: true).append(body, facts, to: &queue)
    var again = RequestFacts()
    do throws(BodyError) {
        try inspect(queue.span, into: &again)
    } catch {
        fatalError("the rewritten body is refused: \(error)")
    }
    precondition(bytesEqual(again.model(in: queue.span), name.span))
    precondition(again.isStreaming == facts.isStreaming)
    precondition(again.wantsUsage || !again.isStreaming)
    precondition(again.maxTokens == facts.maxTokens && again.choices == facts.choices)
}

func mustBeJSON(_ bytes: Span<UInt8>) {
    do throws(JSONError) {
        _ = try readJSON(bytes)
    } catch {
        fatalError("what was written is no JSON: \(error)")
    }
}

/// libFuzzer's entry.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    check(Span(_unsafeElements: UnsafeBufferPointer(start: data, count: size)))
    return 0
}
