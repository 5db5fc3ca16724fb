"""How close two captions are: CIDEr, METEOR, SPICE, ROUGE-L and BLEU."""
