namespace Equip.Model.Tokenizer;

/// <summary>The "post_processor" of tokenizer.json: the ids put before and after those of the text.</summary>
internal sealed class PostProcessor
{
    private readonly List<int> _prefix = [];
    private readonly List<int> _suffix = [];

    /// <summary>Reads it; <paramref name="vocabularySize"/> bounds the ids.</summary>
    public PostProcessor(JsonField field, int vocabularySize) => Read(field, vocabularySize);

    public IReadOnlyList<int> Prefix => _prefix;

    public IReadOnlyList<int> Suffix => _suffix;

    private void Read(JsonField field, int vocabularySize)
    {
        if (field.IsNull) return;
        switch (field.Type)
        {
            case "ByteLevel":
                // It trims offsets only.
                break;
            case "Sequence":
                foreach (JsonField step in field["processors"].Items()) Read(step, vocabularySize);
                break;
            case "TemplateProcessing":
                ReadTemplate(field, vocabularySize);
                break;
            default:
                throw field.NotSupported("ByteLevel, Sequence or TemplateProcessing");
        }
    }

    /// <summary>A template of a Sequence wraps what the ones before it made.</summary>
    private void ReadTemplate(JsonField field, int vocabularySize)
    {
        List<int> before = [], after = [];
        bool seenText = false;
        foreach (JsonField part in field["single"].Items())
        {
            if (!part["Sequence"].IsNull)
            {
                string id = part["Sequence"]["id"].Text();
                if (id != "A" || seenText) throw part.Error("the template of a single text must hold sequence A once and no other");
                seenText = true;
                continue;
            }

            string name = part["SpecialToken"]["id"].Text();
            JsonField ids = field["special_tokens"][name]["ids"];
            (seenText ? after : before).AddRange(ids.Items().Select(id => id.Integer(vocabularySize - 1)));
        }

        if (!seenText) throw field["single"].Error("must hold sequence A");
        _prefix.InsertRange(0, before);
        _suffix.AddRange(after);
    }
}
