using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.TinyFamily;

namespace LrtMesh.Core.Tests.Tokenizers;

/// <summary>A tokenizer trained on a small text, and the folder that it lies in.</summary>
public sealed class TrainedTokenizer : IDisposable
{
    public const int VocabularySize = 400;

    public static readonly string[] Documents =
    [
        "The old baker said that it's raining. \"You'll see,\" the baker's dog barked, \"we've seen rain before!\"",
        "Once upon a time, in 1897, there lived a fox; it wouldn't say 42 things twice. Naïve? Not the fox.\n\nThe end.\n",
        "Über den Straßen läuft Ёжик и говорит: добрый день. 今日は雨が降っています。 😀😀👩‍👩‍👧 🇫🇷",
        "THE RAIN IN SPAIN!!! the rain in spain...   the   rain\tin\r\nspain",
    ];

    public TrainedTokenizer()
    {
        BpeTrainer.Train(Documents, VocabularySize, Folder);
        Tokenizer = Tokenizer.Load(Folder);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("lrtmesh-tokenizer-").FullName;

    public Tokenizer Tokenizer { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
