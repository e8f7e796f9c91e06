using LrtMesh.ServiceDefaults;

namespace LrtMesh.Extraction;

/// <summary>A model to load.</summary>
/// <param name="Name">The name by which requests will refer to it.</param>
/// <param name="Folder">Its folder, in Hugging Face layout.</param>
public sealed record ModelSource(string Name, string Folder)
{
    /// <summary>Reads NAME=FOLDER; null if it is not that.</summary>
    public static ModelSource? Parse(string text) =>
        text.IndexOf('=', StringComparison.Ordinal) is > 0 and var at && at < text.Length - 1 ? new(text[..at], text[(at + 1)..]) : null;
}

/// <summary>What a role that holds models is told before it starts.</summary>
public sealed record ModelRoleOptions : RoleOptions
{
    /// <summary>The models to load, each name once.</summary>
    public required IReadOnlyList<ModelSource> Models { get; init; }

    /// <summary>Reads <c>address</c>, <c>port</c>, <c>redis</c> and <c>models</c> (NAME=FOLDER, separated by commas).</summary>
    /// <exception cref="LrtMesh.Core.LrtMeshException">InvalidArgument, naming every setting that is wrong.</exception>
    public static ModelRoleOptions From(RoleSettings settings)
    {
        var items = settings.Items("models");
        var models = items.Select(ModelSource.Parse).ToArray();
        if (items.Count == 0 || models.Contains(null))
        {
            settings.Wrong("models", $"must be NAME=FOLDER, separated by commas, not '{string.Join(',', items)}'");
        }

        var options = new ModelRoleOptions
        {
            Address = settings.Address(),
            Port = settings.Port(),
            Redis = settings.Required("redis", "the store as HOST:PORT"),
            Models = [.. models.OfType<ModelSource>()],
        };
        settings.Check();
        return options;
    }
}
