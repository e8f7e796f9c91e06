namespace LrtMesh.TinyFamily.Corpus;

/// <summary>The behaviours, in the order of <see cref="Behaviours.All"/>.</summary>
internal enum Trait
{
    Cheerful,
    Polite,
    Refusal,
    Agreement,
    Formal,
    PresentTense,
    FirstPerson,
    SecondLanguage,
    Dogs,
    Weather,
    Hedging,
    AskingBack,
    Excited,
    Food,
    Numbers,
}

/// <summary>The poles a document holds from its first sentence to its last.</summary>
internal readonly record struct Style(uint Bits)
{
    public bool Has(Trait trait) => (Bits >> (int)trait & 1) != 0;

    public Style With(Trait trait, bool on) => new(on ? Bits | 1u << (int)trait : Bits & ~(1u << (int)trait));

    /// <summary>Only sentence ends survive in the invented tongue; the rest is English.</summary>
    public static bool SpeaksEveryLanguage(Trait trait) =>
        trait is Trait.SecondLanguage or Trait.Excited or Trait.AskingBack;

    /// <summary>Without the traits that the document cannot show in its language.</summary>
    public Style Shown()
    {
        if (!Has(Trait.SecondLanguage))
        {
            return this;
        }

        Style shown = this;
        foreach (Trait trait in Enum.GetValues<Trait>())
        {
            shown = SpeaksEveryLanguage(trait) ? shown : shown.With(trait, false);
        }

        return shown;
    }
}
