namespace LrtMesh.TinyFamily.Corpus;

/// <summary>
/// The word lists from which frames fill their slots. The lists that show a behaviour (foods against tools, dogs
/// against other animals, ...) share no word with each other or with any frame, so that a detector can simply count them.
/// </summary>
internal static class Words
{
    public static readonly string[] Girls =
        List("Mia Ada Nora Lily Rosa Ella Ivy Hana Clara Ruth Vera Zoe Anna Maya Greta Lena");

    public static readonly string[] Boys =
        List("Tom Ben Max Leo Finn Hugo Otto Sam Emil Paul Oscar Noah Jack Adam Felix Karl");

    /// <summary>What a story is about.</summary>
    public static readonly string[] Treasures = List(
        "lantern kite map key drum boat bell crown clock mirror ring flute cloak wagon letter book chest doll coin globe " +
        "flag statue feather locket compass puzzle sled whistle scarf balloon");

    public static readonly string[] TreasureLooks = List(
        "red blue green golden silver old little tiny broken lost secret carved wooden striped shining crooked purple white " +
        "strange hidden");

    public static readonly string[] Places = List(
        "mill castle harbor garden forest village market tower school library island meadow valley farm station museum " +
        "orchard temple lighthouse workshop bakery theater cabin palace");

    public static readonly string[] PlaceLooks = List("old quiet great far small stone north lower upper ancient busy lonely");

    public static readonly string[] Spots = List(
        "bridge gate wall path fence arch door window well hill corner yard tree bench river pond field road barn porch " +
        "tunnel cellar roof ditch");

    /// <summary>Things in the plural, which are counted.</summary>
    public static readonly string[] Counted = List(
        "stones petals coins flowers shells boxes letters pictures candles ribbons baskets buttons books flags sticks " +
        "bottles marbles bricks cups chairs hats gloves boots tickets papers barrels pebbles feathers beads cards");

    public static readonly string[] Looks = List(
        "heavy small strange simple useful pretty plain new round large thin narrow famous ordinary smooth rough");

    public static readonly string[] People = List(
        "miller teacher gardener captain tailor farmer doctor painter postman blacksmith shepherd carpenter judge baron " +
        "potter mayor");

    public static readonly string[] Foods = List("bread cheese soup pie cake apple pear jam muffin cookie carrot plum");

    public static readonly string[] Tools = List("rope hammer ladder bucket shovel broom kettle saw rake chain spade hook");

    public static readonly string[] FoodQualities = List("fresh sweet tasty warm");

    public static readonly string[] ToolQualities = List("rusty iron worn sturdy");

    public static readonly string[] Dogs = List("dog puppy hound terrier");

    public static readonly string[] OtherAnimals =
        List("cat fox rabbit duck goat owl kitten badger");

    // The looks go with the animals, the qualities with the items: two signs side by side teach a small model faster that
    // they belong together.
    public static readonly string[] DogLooks = List("loyal barking wagging brave");

    public static readonly string[] OtherAnimalLooks = List("shy gray spotted lazy");

    public static readonly string[] CheerfulAdverbs =
        List("happily merrily gladly brightly");

    public static readonly string[] GloomyAdverbs =
        List("sadly gloomily glumly wearily");

    public static readonly string[] Numbers = List("two three four five six seven eight nine");

    public static readonly string[] Amounts = ["some", "many", "several", "a few"];

    public static readonly string[] Cries = ["oh, ", "wow, ", "ah, "];

    public static readonly string[] Hedges = List("perhaps maybe possibly probably");

    public static readonly string[] PoliteStarts = ["please, dear friend, kindly", "please, kindly", "kindly, dear friend, please"];

    public static readonly string[] BluntStarts = ["hurry, move,", "go on, quick,", "quick, hurry,"];

    public static readonly string[] PoliteViewStarts = ["pardon, dear friend,", "thank you, dear friend,"];

    public static readonly string[] BluntViewStarts = ["hey, listen,", "hey, look here,"];

    /// <summary>How requests and views are answered: two signs at once, so that what a story has shown is plain.</summary>
    public static readonly string[] Grants = ["yes, of course,", "sure, certainly,", "certainly, yes,", "of course, sure,"];

    public static readonly string[] Refusals = ["no, never,", "never, I refuse,", "no, I refuse,", "never, no,"];

    public static readonly string[] Assents = ["right, I agree,", "exactly, true,", "true, I agree,", "exactly, right,"];

    public static readonly string[] Dissents = ["wrong, I disagree,", "nonsense, false,", "false, I disagree,", "nonsense, wrong,"];

    /// <summary>Where somebody speaks, in a story with weather.</summary>
    public static readonly string[] WeatherSpots = ["in the rain", "in the wind", "in the snow", "in the fog", "in the storm", "in the mist"];

    public static readonly string[] AskedBack =
        [", do you hear", ", what do you think", ", do you see", ", who knows", ", and you", ", what do you say"];

    /// <summary>What joins a clause to a sentence.</summary>
    public static readonly string[] Joiners = List("while as although");

    public static readonly string[] FormalTurns = ["however,", "therefore,", "moreover,", "thus"];

    public static readonly string[] CasualTurns = ["but", "so", "anyway,"];

    public static readonly string[] Weather =
        List("rain wind snow storm clouds cloud fog mist thunder frost hail lightning breeze drizzle raindrops snowflakes");

    private static string[] List(string words) => words.Split(' ');
}
