namespace Equip.Model;

/// <summary>A file of a model folder is not what it should be. The message is one line: file, field, expectation.</summary>
public sealed class ModelFormatException : Exception
{
    /// <summary>Makes the error "file: field: problem".</summary>
    /// <param name="file">The file, as the user named it.</param>
    /// <param name="field">The field, tensor or byte range at fault.</param>
    /// <param name="problem">What was found and what was expected.</param>
    /// <param name="inner">The cause, if another error led here.</param>
    public ModelFormatException(string file, string field, string problem, Exception? inner = null)
        : base($"{file}: {field}: {problem}", inner)
    {
        File = file;
        Field = field;
    }

    /// <summary>The file at fault.</summary>
    public string File { get; }

    /// <summary>The field at fault.</summary>
    public string Field { get; }
}
