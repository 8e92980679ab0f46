internal import Bytes
internal import OpenAI

/// Verdicts, pictures and sounds.
extension DocumentMaker {
    /// Categories of a moderation, as OpenAI's SDK demands them.
    private static let categories: [StaticString] = [
        "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
        "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
    ]

    /// A picture of one black point.
    private static let png: [UInt8] = [
        0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00,
        0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3A, 0x7E, 0x9B, 0x55, 0x00, 0x00, 0x00,
        0x0A, 0x49, 0x44, 0x41, 0x54, 0x78, 0xDA, 0x63, 0x60, 0x00, 0x00, 0x00, 0x02, 0x00, 0x01, 0xE5, 0x27, 0xDE,
        0xFC, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
    ]

    /// Flags what has the word `attack`.
    mutating func writeModeration(into queue: inout ByteQueue) throws(APIError) {
        let inputs = inputs(try required("input"))
        queue.append("{\"id\":\"modr-")
        queue.append(id)
        begin("\",\"model\":", into: &queue)
        queue.append(",\"results\":[")
        for (index, input) in inputs.enumerated() {
            let isFlagged = String(decoding: input.source, as: UTF8.self).lowercased().contains("attack")
            queue.append(index == 0 ? "{\"flagged\":" : ",{\"flagged\":")
            queue.append(isFlagged ? "true" : "false")
            queue.append(",\"categories\":{")
            writeCategories(into: &queue) { $0.append($1 == "violence" && isFlagged ? "true" : "false") }
            queue.append("},\"category_scores\":{")
            writeCategories(into: &queue) { $0.append($1 == "violence" && isFlagged ? "0.9" : "0.0") }
            queue.append("},\"category_applied_input_types\":{")
            writeCategories(into: &queue) { queue, _ in queue.append("[\"text\"]") }
            queue.append("}}")
        }
        queue.append("]}")
    }

    private func writeCategories(into queue: inout ByteQueue, _ value: (inout ByteQueue, String) -> Void) {
        for (index, category) in DocumentMaker.categories.enumerated() {
            queue.append(key: category, first: index == 0)
            value(&queue, "\(category)")
        }
    }

    /// As many pictures as asked for, at most ten.
    mutating func writeImages(into queue: inout ByteQueue) throws(APIError) {
        queue.append("{\"created\":1,\"data\":[")
        for index in 0..<min(10, max(1, root["n"]?.integer ?? 1)) {
            queue.append(index == 0 ? "{\"b64_json\":\"" : ",{\"b64_json\":\"")
            Base64.append(DocumentMaker.png, to: &queue)
            queue.append("\"}")
        }
        queue.append("]}")
    }

    /// A tenth of a second of silence for each word.
    func speech() throws(APIError) -> Document {
        let words = try required("input").string?.split(separator: " ").count ?? 1
        let samples = 800 * min(600, max(1, words))
        var sound = ByteQueue()
        sound.append("RIFF")
        append(UInt32(36 + 2 * samples), to: &sound)
        sound.append("WAVEfmt ")
        append(16, to: &sound)
        // PCM, one channel, 8,000 samples of 16 bits a second.
        append(1 | 1 << 16, to: &sound)
        append(8000, to: &sound)
        append(16_000, to: &sound)
        append(2 | 16 << 16, to: &sound)
        sound.append("data")
        append(UInt32(2 * samples), to: &sound)
        for _ in 0..<(2 * samples) { sound.append(0) }
        return Document(contentType: "audio/wav", body: [UInt8](copying: sound.span))
    }

    private func append(_ number: UInt32, to queue: inout ByteQueue) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { queue.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    /// What was heard in a recording, or made of a picture.
    static func formAnswer(_ operation: APIOperation, _ body: [UInt8], streams: Bool) -> Document {
        var queue = ByteQueue()
        if operation == .images {
            queue.append("{\"created\":1,\"data\":[{\"b64_json\":\"")
            Base64.append(png, to: &queue)
            queue.append("\"}]}")
            return Document(contentType: "application/json", body: [UInt8](copying: queue.span))
        }
        var hash = TextHash()
        hash.add(body)
        let answer = Answer(words: AnswerText.start(hash, choice: 0), natural: 12, limit: nil)
        guard streams else {
            queue.append("{\"text\":")
            queue.append(json: answer.text)
            queue.append("}")
            return Document(contentType: "application/json", body: [UInt8](copying: queue.span))
        }
        for index in 0..<answer.count {
            queue.append("data: {\"type\":\"transcript.text.delta\",\"delta\":")
            queue.append(json: answer.piece(index))
            queue.append("}\n\n")
        }
        queue.append("data: {\"type\":\"transcript.text.done\",\"text\":")
        queue.append(json: answer.text)
        queue.append("}\n\n")
        return Document(contentType: "text/event-stream; charset=utf-8", body: [UInt8](copying: queue.span))
    }
}
