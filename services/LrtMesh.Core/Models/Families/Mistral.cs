namespace LrtMesh.Core.Models.Families;

/// <summary>Mistral: a Llama in which every block may have a window.</summary>
public static class Mistral
{
    /// <summary>The family's record.</summary>
    public static Family Family { get; } = new("mistral", ReadConfig, new TensorNames());

    private static ModelConfig ReadConfig(ConfigFile config)
    {
        var common = CommonKeys.Read(config, context: 131072, kvHeads: 8);
        var window = config.Has("sliding_window") ? config.SizeOrNull("sliding_window") : 4096;
        return window is null ? common : common with { Windows = [.. Enumerable.Repeat(window, common.Layers)] };
    }
}
