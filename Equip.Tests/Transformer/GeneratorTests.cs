using System.Text.Json;
using Equip.Kernels.Dispatch;
using Equip.Kernels.Numerics;
using Equip.Model.Tokenizer;
using Equip.Model.Transformer;
using Equip.Tests.Fixtures;
using Equip.Tests.Tokenizer;

namespace Equip.Tests.Transformer;

/// <summary>The generation loop over a scripted model: what it is fed, what comes out and when it stops.</summary>
internal sealed class GeneratorTests
{
    private const int Stop = 256, Vocabulary = 300;

    private static readonly int[] _prompt = [5, 6, 7];
    private static readonly BpeTokenizer _tokenizer = TokenizerFile.Bytes().WithByteLevel().WithAdded(Stop, "<stop>").Build();

    [Test]
    public void Run_StopToken_ComesLastWithoutText()
    {
        Script script = new('h', 'i', Stop, 'x');
        Assert.That(Run(script), Is.EqualTo((GeneratedToken[])[new('h', "h"), new('i', "i"), new(Stop, "")]));
        Assert.That(script.Fed, Is.EqualTo((string[])["prefill 5 6 7", "decode 104", "decode 105"]), "nothing is run after the last token");
    }

    [Test]
    public void Run_MaxTokens_Ends()
    {
        Script script = new('a', 'b', 'c');
        Assert.That(Run(script, maxTokens: 2), Is.EqualTo((GeneratedToken[])[new('a', "a"), new('b', "b")]));
        Assert.That(script.Fed, Has.Count.EqualTo(2));
    }

    [Test]
    public void Run_NoStopTokens_GoesOn() =>
        Assert.That(Run(new Script('a', Stop, 'b'), maxTokens: 3, stopTokens: []), Is.EqualTo((GeneratedToken[])[new('a', "a"), new(Stop, ""), new('b', "b")]));

    [Test]
    public void Run_CharacterOverTokens_PiecesAreWholeCharacters() =>
        Assert.That(Run(new Script(0xC3, 0xA9, 0xF0, 0x9F, Stop)), Is.EqualTo((GeneratedToken[])[new(0xC3, ""), new(0xA9, "é"), new(0xF0, ""), new(0x9F, ""), new(Stop, "\uFFFD")]));

    [Test]
    public void Run_LastTokenLeavesACharacterOpen_ItIsReplaced() =>
        Assert.That(Run(new Script('a', 0xC3), maxTokens: 2), Is.EqualTo((GeneratedToken[])[new('a', "a"), new(0xC3, "\uFFFD")]));

    [Test]
    public void Run_NoTokenizer_IdsOnly()
    {
        Script script = new(299, 1);
        GeneratedToken[] tokens = [.. Generator.Run(script.Prefill, script.Decode, Vocabulary, null, [1], _prompt, new GenerationOptions(), default)];
        Assert.That(tokens, Is.EqualTo((GeneratedToken[])[new(299, ""), new(1, "")]));
    }

    [Test]
    public void Run_IdBeyondTheTokenizer_IsNeverChosen() => Assert.That(Run(new Script(299, Stop))[0].Id, Is.Zero);

    [Test]
    public void Run_Cancelled_Throws()
    {
        using CancellationTokenSource source = new();
        Script script = new('a', 'b', 'c');
        using IEnumerator<GeneratedToken> tokens = Generator.Run(script.Prefill, script.Decode, Vocabulary, _tokenizer, [], _prompt, new GenerationOptions(), source.Token).GetEnumerator();
        Assert.That(tokens.MoveNext(), Is.True);
        source.Cancel();
        Assert.That(() => tokens.MoveNext(), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public async Task OnThreadPool_SameTokens()
    {
        Script script = new('h', 'i', Stop);
        List<GeneratedToken> tokens = [];
        await foreach (GeneratedToken token in Generator.OnThreadPool(Tokens(script)).ConfigureAwait(false)) tokens.Add(token);
        Assert.That(tokens, Is.EqualTo((GeneratedToken[])[new('h', "h"), new('i', "i"), new(Stop, "")]));
    }

    [Test]
    public void Generate_GoldenPrompt_GreedyTokensAndTheirText()
    {
        // Case 1: a clear margin between the two best tokens at every step.
        JsonElement golden = Golden.Case(1);
        using CpuExecutor executor = new(Golden.Model, Contexts.For(Isa.Auto));
        using Sequence sequence = executor.CreateSequence(new CacheOptions { KvType = DataType.F32 });
        int[] expected = Golden.Ids(golden, "greedy_ids");
        GeneratedToken[] tokens = [.. Generator.Generate(executor, sequence, golden.GetProperty("prompt").GetString()!, new GenerationOptions { MaxTokens = expected.Length, StopTokens = [] })];
        Assert.That(tokens.Select(token => token.Id), Is.EqualTo(expected));
        Assert.That(string.Concat(tokens.Select(token => token.Text)), Is.EqualTo(Golden.Model.Tokenizer!.Decode(expected)));
        Assert.That(sequence.Tokens, Is.EqualTo(golden.GetProperty("input_ids").GetArrayLength() + expected.Length - 1), "the last token is not appended");
    }

    private static GeneratedToken[] Run(Script script, int maxTokens = 10, int[]? stopTokens = null) => [.. Tokens(script, maxTokens, stopTokens)];

    private static IEnumerable<GeneratedToken> Tokens(Script script, int maxTokens = 10, int[]? stopTokens = null) =>
        Generator.Run(script.Prefill, script.Decode, Vocabulary, _tokenizer, stopTokens ?? [Stop], _prompt, new GenerationOptions { MaxTokens = maxTokens }, default);

    /// <summary>A model that makes its tokens the most likely ones, one after another, and notes what it was given.</summary>
    private sealed class Script(params int[] tokens)
    {
        private int _next;

        public List<string> Fed { get; } = [];

        public void Prefill(ReadOnlySpan<int> given, Span<float> logits) => Answer("prefill", given, logits);

        public void Decode(ReadOnlySpan<int> given, Span<float> logits) => Answer("decode", given, logits);

        private void Answer(string kind, ReadOnlySpan<int> given, Span<float> logits)
        {
            Fed.Add($"{kind} {string.Join(' ', given.ToArray())}");
            logits.Clear();
            logits[tokens[_next++]] = 1;
        }
    }
}
