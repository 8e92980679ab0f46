// Any bytes as a content type and a form, parted by the first zero byte: no crash, and the form with another model is
// read again with that model. A second zero byte stands for the boundary in the form, to find the way in faster.
import Bytes
import OpenAI

func check(_ data: UnsafeBufferPointer<UInt8>) {
    let parts = Array(data).split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { return }
    let type = Array(parts[0])
    guard let range = multipartBoundary(type.span) else { return }
    let boundary = Array(type[range])
    precondition((1...70).contains(boundary.count))
    let body = Array(parts[1].split(separator: 0, omittingEmptySubsequences: false).joined(separator: boundary))
    for source in [ModelSource.body, .path] {
        var facts = MultipartFacts()
        do throws(BodyError) {
            try inspectMultipart(body.span, boundary: boundary.span, into: &facts, model: source)
        } catch {
            continue
        }
        checkRewrite(body, boundary, facts)
    }
}

func checkRewrite(_ body: [UInt8], _ boundary: [UInt8], _ facts: MultipartFacts) {
    let name = Array("new".utf8)
    var queue = ByteQueue()
    facts.append(body.span, boundary: boundary.span, model: name.span, to: &queue)
    var again = MultipartFacts()
    do throws(BodyError) {
        try inspectMultipart(queue.span, boundary: boundary.span, into: &again)
    } catch {
        // One more part can be one too many.
        if facts.parts == MultipartLimits.parts { return }
        // A boundary that ends the new name by itself would begin with CR LF.
        fatalError("the rewritten form is refused: \(error)")
    }
    precondition(bytesEqual(again.model(in: queue.span), name.span))
    precondition(again.isStreaming == facts.isStreaming)
}

/// libFuzzer's entry.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    check(UnsafeBufferPointer(start: data, count: size))
    return 0
}
