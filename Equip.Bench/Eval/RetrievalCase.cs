using System.Text.Json;
using Equip.Bench.CommandLine;
using Equip.Model;
using Equip.Model.Tokenizer;

namespace Equip.Bench.Eval;

/// <summary>A prompt that hides an answer, and asks for it.</summary>
/// <param name="Id">Its name in the file.</param>
/// <param name="Prompt">Token ids, bos first.</param>
/// <param name="Answer">Token ids of the answer.</param>
/// <param name="Distance">Tokens from the answer's first token, where it is stated, to the prompt's end.</param>
internal sealed record RetrievalCase(string Id, int[] Prompt, int[] Answer, int Distance)
{
    /// <summary>Reads JSON lines with id, prompt, answer, distance and optionally answer_token_ids.</summary>
    /// <param name="model">A model with a tokenizer.</param>
    /// <param name="file">The file.</param>
    /// <param name="atMost">Cases at most; 0 for all.</param>
    /// <exception cref="ModelFormatException">A line breaks the format.</exception>
    public static IReadOnlyList<RetrievalCase> Read(LanguageModel model, string file, int atMost)
    {
        if (model.Tokenizer is not { } tokenizer) throw new UsageException("retrieval needs a model with a tokenizer, not a shape");
        List<RetrievalCase> cases = [];
        int number = 0;
        foreach (string line in File.ReadLines(file))
        {
            number++;
            if (string.IsNullOrWhiteSpace(line)) continue;
            if (atMost > 0 && cases.Count == atMost) break;
            try
            {
                using JsonDocument document = JsonDocument.Parse(line);
                cases.Add(Read(document.RootElement, tokenizer));
            }
            catch (Exception problem) when (problem is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                throw new ModelFormatException(file, $"line {number}", $"{problem.Message} (expected an object with id, prompt, answer and distance)", problem);
            }
        }

        return cases.Count > 0 ? cases : throw new ModelFormatException(file, "lines", "got no case, expected at least one");
    }

    private static RetrievalCase Read(JsonElement fields, BpeTokenizer tokenizer)
    {
        string answer = fields.GetProperty("answer").GetString() ?? "";
        int[] stored = fields.TryGetProperty("answer_token_ids", out JsonElement ids) ? [.. ids.EnumerateArray().Select(id => id.GetInt32())] : [];
        return new RetrievalCase(
            fields.GetProperty("id").GetString() ?? "",
            tokenizer.Encode(fields.GetProperty("prompt").GetString() ?? ""),
            IsAnswer(tokenizer, stored, answer) ? stored : tokenizer.Encode(" " + answer, addSpecialTokens: false),
            fields.GetProperty("distance").GetInt32());
    }

    // The stored ids are those of the default model's tokenizer.
    private static bool IsAnswer(BpeTokenizer tokenizer, int[] ids, string answer) =>
        ids.Length > 0 && ids.All(id => id >= 0 && id < tokenizer.VocabularySize) && tokenizer.Decode(ids).Trim() == answer;
}
